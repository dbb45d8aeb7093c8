"""The one error a user is meant to read."""


class InputError(ValueError):
    """Bad input, said in one sentence that names the file or parameter and what to do.

    The command line prints the sentence and exits with status 2; nothing is left half-written.
    """
