"""Pure builders: what a nurse typed → FHIR R4 resources. No clock, no database; ids and times are arguments.

Each form has a reader (text → entry, with problems a person can mend) and a builder (entry → resources). The tests
check every builder's output with the hub's validator; a station itself never validates FHIR.
"""
