"""``clinic-net bench``: what the hub does in a second, measured from outside, beside the floor below it."""
