"""The exception for mistakes that a user can fix."""


class UserError(ValueError):
    """Raised for invalid input. The message gives the value, what was expected and the fix.

    Commands print the message and exit with code 2. Python code may catch it as a `ValueError`.
    """
