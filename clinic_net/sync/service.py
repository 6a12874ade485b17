"""Use cases of the synchronisation, for the capabilities above."""

from clinic_net.sync.feeding import feed, feed_of, is_site, pull
from clinic_net.sync.pushing import push

__all__ = ["feed", "feed_of", "is_site", "pull", "push"]
