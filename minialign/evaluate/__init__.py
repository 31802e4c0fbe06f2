"""What a policy can do: judged, counted, with intervals."""

from minialign import modules_of

__getattr__ = modules_of(__name__)
