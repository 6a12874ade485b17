"""Why embedded services were not started."""

from clinic_net.kernel.errors import Invalid, Unavailable


class DataFolderUnusable(Invalid):
    """The folder cannot hold the services; the message says what a person must change."""

    code = "data-folder-unusable"


class EmbeddedUnavailable(Unavailable):
    """A server did not start, or does not answer."""

    code = "embedded-unavailable"
