"""What an engineer asks before trusting a small package: is it right, is it fast, does it last?"""
