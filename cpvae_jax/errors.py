"""The one kind of error that a user can cause and mend."""


class UserError(ValueError):
    """A mistake in the input, told in one sentence.

    The sentence names the value, what was expected, and the remedy. The commands
    print it and leave with exit code 2; Python code may catch it as a `ValueError`.
    """
