"""What proving oneself refuses. None says which half was wrong."""

from clinic_net.kernel.errors import Conflict, Forbidden, Invalid, Retry, Unauthenticated


class SignInUnfinished(Unauthenticated):
    """The password was right and something is still owed: a second factor, setting one up, or a password of one's own.

    ``token`` names the half that is done; it opens nothing. ``step`` is ``factor``, ``password`` or ``set-up``.
    """

    code = "sign-in-unfinished"

    def __init__(self, token: str, step: str) -> None:
        super().__init__("the password is right; go on with the second step")
        self.token = token
        self.step = step


class SignInExpired(Unauthenticated):
    """The first half of a sign-in was done too long ago, or not at all."""

    code = "sign-in-expired"

    def __init__(self) -> None:
        super().__init__("begin again with your password")


class WrongCode(Unauthenticated):
    """Neither a code of the person's app nor one of their recovery codes, or used before."""

    code = "wrong-code"

    def __init__(self) -> None:
        super().__init__("the code is not right, or has been used")


class PasskeyRefused(Unauthenticated):
    """A passkey's answer that does not prove anything here."""

    code = "passkey-refused"

    def __init__(self) -> None:
        super().__init__("the passkey was not accepted")


class VerificationNeeded(Forbidden):
    """What was asked for needs a proof of the last minutes that the person is there: verify, then ask again."""

    code = "verification-needed"
    retry = Retry.LATER

    def __init__(self) -> None:
        super().__init__("prove that it is you, then try again")


class PasskeysUnavailable(Conflict):
    """Browsers allow passkeys only for a named site, and a person may have only so many."""

    code = "passkeys-unavailable"

    def __init__(self) -> None:
        super().__init__("passkeys cannot be used here")


class LastFactor(Conflict):
    """This role must have a second factor: another must be there before the last one goes."""

    code = "last-factor"

    def __init__(self) -> None:
        super().__init__("your role needs a second factor: add another before you remove this one")


class PasswordGuessable(Invalid):
    """A password of words that others try first."""

    code = "password-guessable"

    def __init__(self) -> None:
        super().__init__(
            "this password is easy to guess: use words that have nothing to do with you or your work"
        )


class PurposeNotAllowed(Invalid):
    code = "purpose-not-allowed"

    def __init__(self) -> None:
        super().__init__("your role does not work for this purpose")


class PatientMalformed(Invalid):
    """A citizen's account names their own Patient, and nobody else's does."""

    code = "patient-malformed"

    def __init__(self) -> None:
        super().__init__("a citizen's account needs the FHIR id of their Patient; no other account has one")
