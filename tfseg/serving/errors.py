"""What a client did wrong."""


class Refused(ValueError):
    """A request that cannot be answered.

    Args:
        status: HTTP status of the answer.
        message: text that the client reads.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
