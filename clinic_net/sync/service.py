"""Use cases of the synchronisation, for the capabilities above."""

from clinic_net.sync.feeding import feed, pull
from clinic_net.sync.pushing import push
from clinic_net.sync.scopes import feed_of, is_site

__all__ = ["feed", "feed_of", "is_site", "pull", "push"]
