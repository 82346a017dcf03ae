"""The one exception of the package."""


class RepoError(Exception):
    """What went wrong, with the compiler's or the runtime's text."""
