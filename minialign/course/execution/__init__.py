"""The whole course without a screen: a plan, its run, and the pages of what came out."""
