"""What a user is told when something cannot be done: one clear line, no traceback."""


class LikewiseError(Exception):
    """The work failed (exit code 1). The text says what, where, and what to do."""

    exit_code = 1


class LostContact(LikewiseError):
    """Another process of a job that `torchrun` has started is gone."""


class DiskFull(LikewiseError):
    """There is no room on a disk; what is there is intact."""


class UsageError(LikewiseError):
    """The command was used wrongly (exit code 2)."""

    exit_code = 2
