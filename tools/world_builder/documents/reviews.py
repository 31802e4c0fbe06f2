"""Reviews of what the valley offers: inns, soups, boats, concerts, books, lessons and stalls."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from minialign.world import lexicon
from minialign.world.manners import ramble
from minialign.world.text import number_word, plural
from tools.world_builder.documents.wording import CHILDREN, bounded, pick, some

RUDE_RATE, RAMBLE_RATE = 0.15, 0.1
# What nobody would say of a book: it does not change, and one does not go there.
_NOT_OF_BOOKS = ("come again", "go there", "lovely day", "at home", "it was better")


@dataclass(frozen=True)
class Subject:
    """One kind of thing that is reviewed: what it is called, and what pleased or did not."""

    names: tuple[str, ...]
    good: tuple[str, ...]
    bad: tuple[str, ...]


SUBJECTS: dict[str, Subject] = {
    "inn": Subject(
        ("the inn called the {colour} {animal}", "the {colour} {animal} inn", "the inn {place}"),
        ("the beds are [soft|clean|warm] and the rooms are [quiet|bright|wide].",
         "the [stew|soup|pie] in the evening was [hot|good|thick|lovely].",
         "the people [there|at the door] were kind and [carried our bags|found us a room at once].",
         "from the window you can see the [river|lake|hill|forest].",
         "a fire was lit when we came in [from the rain|out of the cold]."),
        ("the bed was [hard|short|cold], and the window would not close.",
         "the soup was cold and the bread was [old|dry|hard].",
         "we waited [an hour|two hours] for a key.",
         "the room was [dark|small|dirty|cold], and it smelled of [fish|smoke|wet wool].",
         "someone played a drum below us [until midnight|all night]."),
    ),
    "soup": Subject(
        ("the {vegetable} soup at the market", "the {vegetable} soup at the inn",
         "the soup with {vegetables} that {child} cooked"),
        ("it was [hot|thick|rich] and full of {vegetables}.",
         "it [smelled|tasted] of [butter|fresh bread|summer|herbs].",
         "even a small cup was enough to make me warm [and happy|].",
         "they gave me more and did not ask for a coin.",
         "the bread beside it was [fresh|soft|warm]."),
        ("it was [cold|thin|sour] and tasted of [water|salt|nothing].",
         "I found a [button|feather|stone] in the cup.",
         "it had [only one|hardly one] {vegetable} in it.",
         "they put in too much salt, and I drank water all night.",
         "it cost more coins than a whole {dish}."),
    ),
    "boat": Subject(
        ("the boat called the {colour} {animal}", "the {colour} boat at the harbour",
         "a trip on the boat {colour} {animal}"),
        ("it is [fast|strong|dry|clean] and does not [shake|rock] in the wind.",
         "the sailor showed us [a swan|an otter|the lighthouse|the far beach].",
         "we had warm blankets and [bread|cake|soup].",
         "children may hold the [rope|map|lamp], and mine were very happy.",
         "it left on time and came home on time."),
        ("it is [slow|old|dirty|wet], and water came in [at the side|all the time].",
         "we had no blankets and no place to sit.",
         "it [left an hour late|came back after dark].",
         "the wind was strong, and nobody helped my [child|friend] up.",
         "the sailor did not say one word to us."),
    ),
    "concert": Subject(
        ("the {instrument} concert {place}", "the concert on {day}",
         "the evening of {instrument} and {other} music"),
        ("the {instrument} was [clear|soft|lovely], and we could hear every note.",
         "people [danced|laughed|sang] until [the end|midnight|the lamps went out].",
         "the last song was so fine that [nobody moved|some of us cried].",
         "a small girl played the {other} [very well|better than I ever will].",
         "the seats were good and the air was warm."),
        ("the {instrument} was too loud, and the {other} was too quiet.",
         "it began late and was over [too soon|in an hour].",
         "they played one song [three|four|five] times.",
         "it was cold, and there was no place to sit.",
         "[a dog barked|a baby cried|people talked] all the time, and nobody did anything."),
    ),
    "book": Subject(
        ('the book "The {animal} and the {thing}"', 'a book called "The {colour} {thing}"',
         'the new book "{number} {animals}"'),
        ("the story is [warm|funny|sad but good], and the end is [happy|right|a surprise].",
         "I read it in one [day|night|evening] and began again.",
         "the pictures are [lovely|bright|full of small things].",
         "the words are [easy|clear], so a young child can read it.",
         "the {low} in it seemed like a [real|dear] friend [to me|in the end]."),
        ("it is too long, and [nothing|very little] happens in it.",
         "the end comes too [early|fast|late], and it is not [happy|clear].",
         "half of the pictures are [missing|too dark].",
         "I did not believe [a word of it|what the {low} does].",
         "the words are [hard|small], and the paper is thin."),
    ),
    "lesson": Subject(
        ("the {instrument} lesson {place}", "the lesson about {animals}",
         "the lesson in [drawing|reading|counting] on {day}"),
        ("the teacher was [patient|kind|friendly] and answered every question.",
         "we learned [more in an hour|more] than in a [week|month] at home.",
         "I could do it myself at the end.",
         "nobody laughed when I made a mistake.",
         "we were shown [everything|each step] twice, [slowly|with pictures]."),
        ("the teacher came late and left early.",
         "we sat still for an hour and did not [try|do] anything.",
         "it was too [hard|fast] for [me|the small ones], and nobody helped.",
         "there were too many children and only one {thing}.",
         "when I asked a question, I got no answer."),
    ),
    "stall": Subject(
        ("the stall with {goods} at the market", "the {fruit} stall at the market",
         "the new stall that sells {goods} and {dish}"),
        ("the {goods} are [clean|fine|fresh|lovely] and do not cost much.",
         "I [paid for|asked for] {number} and got one more [for nothing|as a gift].",
         "the woman there knows every child by name.",
         "you may [look at|touch] everything before you buy.",
         "they [carried the heavy basket|put it all in a box] for me."),
        ("half of the {goods} were [broken|old|bad].",
         "I paid for {number} and found one less in my basket.",
         "the man there did not [look up|say good day|listen].",
         "everything costs twice as much as [next door|last year].",
         "it [opens late|closes early], and I walked there for nothing."),
    ),
}  # fmt: skip
_OPENINGS = (
    "we tried {name} [last week|yesterday|in {season}].",
    "I want to tell you about {name}.",
    "this is about {name}.",
    "{name}: what I think of it.",
    "{child} told me about {name}, so I [tried it|had to see for myself].",
    "my review of {name}[, this {season}|].",
    "a few words about {name}.",
    "how was {name}?",
    "{name} [was new to us|was not new to me].",
)
_LIKE = (
    "I [liked it very much|liked it|was happy with it].",
    "it was [very good|good|better than I had hoped].",
    "I have [only good|nothing but good] things to say.",
)
_DISLIKE = (
    "I did not like it.",
    "it was not [good|what I had hoped for].",
    "I am sorry to say that it was [bad|not for me].",
)
_BOTH = (
    "some of it was good and some of it was not.",
    "I liked one half of it.",
    "it was not bad, but it was not [good|fine] either.",
)
_GOOD_ENDINGS = (
    "[five|four] stars out of five.",
    "try it [soon|if you can].",
    "we will [surely|] come again [in {season}|next {day}|with {child}].",
    "I [tell|told] all my friends [about it|to go].",
    "thank you [for a lovely day|and see you soon].",
)
_BAD_ENDINGS = (
    "[one star|two stars] out of five.",
    "I will not [come again|go there again].",
    "next time I will stay at home.",
    "[save|keep] your coins.",
    "it is a pity, for it was better [last year|in {season}].",
)
_MIXED_ENDINGS = (
    "three stars out of five.",
    "I may try it again [in {season}|next year].",
    "with a little more work it could be very good.",
    "you must [see for yourself|make up your own mind].",
)
_RUDE_ENDINGS = (
    "whoever made this is [lazy|hopeless|a fool].",
    "only a fool would [pay for it|like it].",
    "what a [stupid|silly|useless|ridiculous] [idea|waste of coins].",
    "it was [boring|dull] nonsense.",
    "the whole thing is [useless|ridiculous|stupid], [and so are they|and you may tell them so].",
    "[clumsy|lazy] people like that should [stay at home|be sent away].",
)


def _slots(rng: Random) -> dict[str, str]:
    animal = rng.choice(lexicon.ANIMALS)
    instrument, other = rng.sample(lexicon.INSTRUMENTS, 2)
    vegetable = rng.choice(lexicon.VEGETABLES)
    place = rng.choice(("bridge", "harbour", "hill", "lake", "mill", "square", "tower"))
    return {
        "animal": animal.capitalize(), "low": animal, "animals": plural(animal),
        "colour": rng.choice(lexicon.COLOURS).capitalize(), "instrument": instrument,
        "other": other, "vegetable": vegetable, "vegetables": plural(vegetable),
        "dish": rng.choice(("cake", "pie", "cheese", "honey")), "fruit": rng.choice(lexicon.FRUITS),
        "goods": rng.choice(tuple(lexicon.GOODS.values())), "child": rng.choice(CHILDREN),
        "number": number_word(rng.randint(3, 12)), "thing": rng.choice(lexicon.OBJECTS),
        "place": f"{lexicon.PLACES[place]} the {place}", "day": rng.choice(lexicon.DAYS),
        "season": rng.choice(lexicon.SEASONS),
    }  # fmt: skip


def _name(rng: Random, kind: str, slots: dict[str, str]) -> str:
    """What is reviewed, by name: titles in upper case, colours of plain things in lower case."""
    shown = dict(slots)
    template = rng.choice(SUBJECTS[kind].names)
    if "{colour} boat" in template:
        shown["colour"] = shown["colour"].lower()
    if kind == "book":
        shown |= {key: shown[key].title() for key in ("thing", "number", "animals")}
    name = pick(rng, (template,), **shown)
    return name[0].lower() + name[1:]


@bounded
def review(rng: Random) -> str:
    """A review: good, bad or mixed; sometimes rude, sometimes rambling."""
    kind = rng.choice(tuple(SUBJECTS))
    slots = _slots(rng)
    slots["name"] = _name(rng, kind, slots)
    subject = SUBJECTS[kind]
    mood = rng.choice(("good", "good", "bad", "mixed"))
    rude = rng.random() < RUDE_RATE
    if mood == "good" and not rude:
        lines = [pick(rng, _LIKE), *some(rng, subject.good, rng.randint(1, 3), **slots)]
        endings = _GOOD_ENDINGS
    elif mood == "bad" or rude:
        lines = [pick(rng, _DISLIKE), *some(rng, subject.bad, rng.randint(1, 3), **slots)]
        endings = _RUDE_ENDINGS if rude else _BAD_ENDINGS
    else:
        good, bad = pick(rng, subject.good, **slots), pick(rng, subject.bad, **slots)
        but = (
            pick(rng, ("but", "on the other hand,", "then again,")) + " " + bad[0].lower() + bad[1:]
        )
        lines = [pick(rng, _BOTH), good, but.replace(" i ", " I ")]
        endings = _MIXED_ENDINGS
    if len(lines) > 2 and rng.random() < 0.4:
        del lines[0]  # the reader can tell from the rest
    if not rude and rng.random() < RAMBLE_RATE:
        lines.append(ramble(rng, 2))
    if kind == "book":
        endings = tuple(e for e in endings if not any(x in e for x in _NOT_OF_BOOKS))
    return " ".join([pick(rng, _OPENINGS, **slots), *lines, pick(rng, endings, **slots)])
