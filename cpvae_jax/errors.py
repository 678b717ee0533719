"""The exception for mistakes that a user can fix, and messages made of other errors."""


class UserError(ValueError):
    """Raised for invalid input. The message gives the value, what was expected and the fix.

    Commands print the message and exit with code 2. Python code may catch it as a `ValueError`.
    """


def first_line(error: BaseException) -> str:
    """The first line of the message of an error, or its type; some libraries print pages.

    >>> first_line(ValueError("no such file\\nand a trace")), first_line(ValueError())
    ('no such file', 'ValueError')
    """
    return (str(error).splitlines() or [type(error).__name__])[0]
