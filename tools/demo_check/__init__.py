"""The demo played without a person: real programs, real browsers, a link that is cut, a hub that is killed."""
