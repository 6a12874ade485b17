"""Use cases of the synchronisation, for the capabilities above."""

from clinic_net.sync.feeds.feeding import feed, pull
from clinic_net.sync.feeds.scopes import feed_of, is_site
from clinic_net.sync.inbox.answers import answers
from clinic_net.sync.inbox.portions import take_over, try_again
from clinic_net.sync.inbox.pushing import Pushed, push, push_form_1

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
