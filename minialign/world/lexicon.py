"""The words of the embedded world: who and what there is to speak about.

Everything the world writes is put together from these tables, so a checker can ask which colours,
animals or numbers a reply mentions by looking them up here. Every entry is lower case except names.
"""

from __future__ import annotations

# Children carry the stories. name -> (subject, object, possessive) pronouns.
SHE, HE = ("she", "her", "her"), ("he", "him", "his")
CHILDREN: dict[str, tuple[str, str, str]] = {
    "Mira": SHE, "Ada": SHE, "Lena": SHE, "Nia": SHE, "Ivy": SHE, "Zoe": SHE, "Clara": SHE,
    "Maya": SHE, "Lily": SHE, "Tess": SHE, "Yara": SHE, "Lucy": SHE, "Tom": HE, "Ben": HE,
    "Finn": HE, "Hugo": HE, "Sam": HE, "Max": HE, "Leo": HE, "Otto": HE, "Emil": HE, "Noah": HE,
    "Kofi": HE, "Ravi": HE,
}  # fmt: skip

# Villagers are the people that the facts are about; they never act in stories under their name.
VILLAGERS: dict[str, tuple[str, str, str]] = {
    "Agnes": SHE, "Bella": SHE, "Carla": SHE, "Dora": SHE, "Edith": SHE, "Flora": SHE,
    "Greta": SHE, "Helga": SHE, "Irma": SHE, "Julia": SHE, "Karin": SHE, "Martha": SHE,
    "Olga": SHE, "Petra": SHE, "Rosa": SHE, "Selma": SHE, "Tilda": SHE, "Wanda": SHE, "Albert": HE,
    "Boris": HE, "Conrad": HE, "David": HE, "Edgar": HE, "Felix": HE, "Gustav": HE, "Henry": HE,
    "Igor": HE, "Jacob": HE, "Klaus": HE, "Lorenz": HE, "Marco": HE, "Oskar": HE, "Peter": HE,
    "Rudolf": HE, "Simon": HE, "Walter": HE,
}  # fmt: skip

# Nobody in the corpus has these names: what is asked about them cannot be known.
STRANGERS: dict[str, tuple[str, str, str]] = {
    "Quentin": HE, "Zelda": SHE, "Barnaby": HE, "Ursula": SHE, "Cyrus": HE, "Fiona": SHE,
    "Desmond": HE, "Gloria": SHE, "Humphrey": HE, "Imelda": SHE, "Jasper": HE, "Katya": SHE,
    "Ludwig": HE, "Minerva": SHE, "Nestor": HE, "Ophelia": SHE, "Percy": HE, "Rowena": SHE,
    "Tobias": HE, "Vera": SHE,
}  # fmt: skip

PRONOUNS = {**CHILDREN, **VILLAGERS, **STRANGERS}

ANIMALS = (
    "ant", "badger", "bear", "bee", "cat", "cow", "crow", "deer", "dog", "duck", "fox", "frog",
    "goat", "goose", "hare", "hedgehog", "hen", "horse", "mole", "mouse", "otter", "owl", "pig",
    "robin", "sheep", "snail", "squirrel", "swan", "toad", "wolf",
)  # fmt: skip
BIRDS = ("crow", "duck", "goose", "hen", "owl", "robin", "swan")
PETS = ("cat", "dog", "duck", "frog", "goat", "goose", "hen", "mouse", "robin", "snail", "toad")
FRUITS = ("apple", "cherry", "fig", "grape", "lemon", "melon", "orange", "peach", "pear", "plum")
VEGETABLES = ("bean", "beet", "carrot", "leek", "onion", "pea", "potato", "pumpkin", "turnip")
DISHES = (
    "bread", "cake", "cheese", "honey", "jam", "noodles", "pancakes", "pie", "porridge", "rice",
    "soup", "stew",
)  # fmt: skip
COLOURS = ("black", "blue", "brown", "gold", "green", "grey", "pink", "purple", "red", "silver",
           "white", "yellow")  # fmt: skip
CLOTHES = ("boot", "cap", "cloak", "coat", "dress", "glove", "hat", "scarf", "shirt", "sock")
TOOLS = ("axe", "broom", "bucket", "hammer", "knife", "ladder", "needle", "rake", "saw", "shovel")
INSTRUMENTS = ("bell", "drum", "fiddle", "flute", "guitar", "harp", "horn", "piano", "whistle")
TREES = ("ash", "beech", "birch", "elm", "maple", "oak", "pine", "willow")
FLOWERS = ("daisy", "iris", "lily", "poppy", "rose", "tulip", "violet")
TOYS = ("ball", "boat", "doll", "kite", "marble", "puppet", "puzzle", "top")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
SEASONS = ("spring", "summer", "autumn", "winter")

# category (plural) -> its members: the lists that can be asked for
CATEGORIES: dict[str, tuple[str, ...]] = {
    "animals": ANIMALS, "birds": BIRDS, "fruits": FRUITS, "vegetables": VEGETABLES,
    "colours": COLOURS, "clothes": CLOTHES, "tools": TOOLS, "instruments": INSTRUMENTS,
    "trees": TREES, "flowers": FLOWERS, "toys": TOYS, "days": DAYS,
}  # fmt: skip

# Things that can be carried, lost, found, lent and mended.
OBJECTS = (
    "ball", "basket", "bell", "blanket", "book", "boat", "box", "broom", "bucket", "button",
    "candle", "cap", "clock", "coat", "coin", "comb", "cup", "drum", "flute", "hammer", "hat",
    "jar", "key", "kite", "ladder", "lamp", "lantern", "letter", "map", "mirror", "needle",
    "paintbrush", "puppet", "puzzle", "ribbon", "ring", "rope", "scarf", "shell", "spoon",
    "stone", "umbrella", "wagon", "whistle",
)  # fmt: skip

# Countable things of word problems: singular -> plural.
GOODS: dict[str, str] = {
    "apple": "apples", "pear": "pears", "plum": "plums", "egg": "eggs", "coin": "coins",
    "shell": "shells", "button": "buttons", "nut": "nuts", "stone": "stones", "candle": "candles",
    "book": "books", "carrot": "carrots", "flower": "flowers", "marble": "marbles",
    "ribbon": "ribbons", "bead": "beads", "cookie": "cookies", "feather": "feathers",
}  # fmt: skip

# Places, each with its preposition: "at the mill", "in the forest".
PLACES: dict[str, str] = {
    "barn": "in", "beach": "on", "bridge": "by", "cave": "near", "chapel": "by", "forest": "in",
    "garden": "in", "harbour": "at", "hill": "on", "inn": "at", "lake": "by", "library": "in",
    "lighthouse": "by", "market": "at", "meadow": "in", "mill": "by", "orchard": "in",
    "pond": "by", "river": "by", "school": "at", "square": "in", "stable": "in", "tower": "by",
    "well": "by",
}  # fmt: skip

JOBS = (
    "baker", "beekeeper", "carpenter", "cook", "doctor", "farmer", "fisher", "gardener",
    "librarian", "miller", "nurse", "painter", "potter", "sailor", "shepherd", "smith", "tailor",
    "teacher", "weaver",
)  # fmt: skip

OPPOSITES: dict[str, str] = {
    "hot": "cold", "big": "small", "tall": "short", "fast": "slow", "old": "young",
    "happy": "sad", "light": "heavy", "wet": "dry", "loud": "quiet", "day": "night",
    "open": "closed", "full": "empty", "hard": "soft", "early": "late", "high": "low",
    "clean": "dirty", "strong": "weak", "near": "far", "rich": "poor", "thick": "thin",
    "bright": "dark", "deep": "shallow", "wide": "narrow", "smooth": "rough", "sharp": "blunt",
    "sweet": "sour", "up": "down", "left": "right", "first": "last", "begin": "end",
    "push": "pull", "win": "lose", "laugh": "cry", "brave": "afraid", "asleep": "awake",
    "above": "below", "inside": "outside", "give": "take", "buy": "sell", "friend": "enemy",
}  # fmt: skip
OPPOSITE_OF: dict[str, str] = {**OPPOSITES, **{b: a for a, b in OPPOSITES.items()}}

NUMBER_WORDS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve",
)  # fmt: skip

IRREGULAR_PLURALS = {
    "mouse": "mice", "goose": "geese", "sheep": "sheep", "deer": "deer", "wolf": "wolves",
    "cherry": "cherries", "daisy": "daisies", "lily": "lilies", "poppy": "poppies",
    "peach": "peaches", "fox": "foxes", "box": "boxes", "brush": "brushes",
    "paintbrush": "paintbrushes", "potato": "potatoes", "dress": "dresses", "knife": "knives",
    "ash": "ashes", "beech": "beeches", "birch": "birches", "bread": "bread", "honey": "honey",
    "rice": "rice", "noodles": "noodles", "pancakes": "pancakes", "clothes": "clothes",
    "iris": "irises", "radish": "radishes",
}  # fmt: skip
