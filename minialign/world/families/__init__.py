"""The kinds of instruction, one module for each group of them, and the table of all.

Their wording lies in data/world/families.toml; here is how slots are drawn, what a wrong answer is,
and how a reply is checked.
"""

from minialign.world import families_stories
from minialign.world.families import facts, kinds, numbers, people, words
from minialign.world.family import Family
from minialign.world.wording import check_fields, wording

# The order is that in which `tasks.instructions` takes turns.
FAMILIES: dict[str, Family] = {
    family.name: family
    for module in (families_stories, facts, words, kinds, numbers, people)
    for family in module.FAMILIES
}
check_fields("world/families.toml", wording("families"), ["polite"], FAMILIES)
