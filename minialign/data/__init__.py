"""Rows from anywhere into six shapes."""
