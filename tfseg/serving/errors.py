"""What a client did wrong."""


class Refused(ValueError):
    """A request that cannot be answered.

    Args:
        status: HTTP status of the answer.
        message: text that the client reads.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(status, message)  # both are kept when it goes from one process to another
        self.status, self.message = status, message

    def __str__(self) -> str:
        return self.message
