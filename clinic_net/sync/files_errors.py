"""What the door of attachments and of SMS refuses."""

from clinic_net.kernel.errors import Conflict, Forbidden, Invalid, NotFound, TooLarge, TooMany, Unavailable


class UploadsOff(Unavailable):
    """Neither ``CLINIC_NET_FILES`` nor ``CLINIC_NET_DATA`` says where parts of uploads are kept."""

    code = "uploads-off"
    for_all = True

    def __init__(self) -> None:
        super().__init__("this hub has no place for parts of uploads")


class UnknownUpload(NotFound):
    """There is no such upload, or it is another station's."""

    code = "unknown-upload"

    def __init__(self) -> None:
        super().__init__("no such upload")


class UploadExpired(NotFound):
    """It was left alone for too long; begin again."""

    code = "upload-expired"
    status = 410

    def __init__(self) -> None:
        super().__init__("the upload has expired")


class MalformedUpload(Invalid):
    """A header of the upload is missing or cannot be read, or asks for an extension that this hub does not offer."""

    code = "malformed-upload"
    status = 400


class FileTooLarge(TooLarge):
    """More than 10 MiB, or a chunk of more than 1 MiB."""

    code = "file-too-large"


class TooManyUploads(TooMany):
    """A station has as many unfinished uploads as it may have."""

    code = "too-many-uploads"

    def __init__(self) -> None:
        super().__init__("finish the uploads that have begun", retry_after=3600)


class ChunkDamaged(Conflict):
    """The chunk is not what its ``Upload-Checksum`` says; nothing of it was kept (tus 1.0, checksum: 460)."""

    code = "chunk-damaged"
    status = 460

    def __init__(self) -> None:
        super().__init__("the chunk does not match its checksum")


class NoRoomForParts(Unavailable):
    """The chunk could not be written; nothing of it was kept."""

    code = "no-room-for-parts"

    def __init__(self) -> None:
        super().__init__("the chunk could not be stored; try again")


class DigestWrong(Invalid):
    """The whole is not what was announced; it was thrown away. Begin again."""

    code = "digest-wrong"

    def __init__(self) -> None:
        super().__init__("the bytes do not have the digest that was announced")


class UnknownFile(NotFound):
    """There are no such bytes, or no document that this caller may read points to them."""

    code = "unknown-file"

    def __init__(self) -> None:
        super().__init__("no such file")


class SmsRefused(Invalid):
    """The text is none of ours, of an unknown device, or does not have its key's MAC: all look alike."""

    code = "sms-refused"

    def __init__(self) -> None:
        super().__init__("no message of a station")


class NotAnSmsGateway(Forbidden):
    """The client's scope does not let it hand in messages (``system/Communication.c``)."""

    code = "not-an-sms-gateway"

    def __init__(self) -> None:
        super().__init__("this client hands in no messages")
