"""Rewards: the contract that every one of them keeps, and those that a model has learnt."""
