"""Use cases of the synchronisation, for the capabilities above."""

from clinic_net.sync.answers import answers
from clinic_net.sync.feeding import feed, pull
from clinic_net.sync.portions import take_over, try_again
from clinic_net.sync.pushing import Pushed, push, push_form_1
from clinic_net.sync.scopes import feed_of, is_site

__all__ = [
    "Pushed",
    "answers",
    "feed",
    "feed_of",
    "is_site",
    "pull",
    "push",
    "push_form_1",
    "take_over",
    "try_again",
]
