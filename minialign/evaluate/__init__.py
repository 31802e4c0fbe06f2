"""What a policy can do: judged, counted, with intervals."""
