"""The kinds of instruction: one module for each group of them, all made as `family` describes.

Their wording lies in data/world/families.toml; here is how slots are drawn, what a wrong answer is,
and how a reply is checked. `minialign.world.tasks` holds the table of all.
"""
