"""What can be wrong with a file; the message is a sentence for whoever sent it."""


class Unreadable(Exception):
    """The file is not what it seems, damaged, or holds no addresses."""


class TooManyAddresses(Unreadable):
    """The file holds more addresses than a task may have."""
