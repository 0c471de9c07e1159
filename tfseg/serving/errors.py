"""What a client did wrong."""


class Refused(ValueError):
    """A request that cannot be answered: the HTTP status, and the sentence that the client reads."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status
