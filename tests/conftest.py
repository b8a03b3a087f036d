"""Settings of all tests."""

from hypothesis import settings

# A deadline an example measures how busy the machine is; pytest's own time limit stays.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")
