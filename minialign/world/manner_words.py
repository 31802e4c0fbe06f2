"""The wording of manners: rude, flattering, kind and rambling remarks; small troubles.

No remark names an animal, a colour, a number or any other thing of the lexicon's tables, so that a
remark put before or after an answer can never be mistaken for a part of that answer.
"""

from __future__ import annotations

# Words that appear in the world only where somebody is rude, or only where somebody flatters.
RUDE_WORDS = (
    "silly", "stupid", "foolish", "lazy", "nonsense", "boring", "dull", "clumsy", "hopeless",
    "useless", "annoying", "pest", "fool", "ridiculous",
)  # fmt: skip
RUDE_PHRASES = (
    "waste my time", "wasting my time", "who cares", "nobody cares", "leave me alone",
    "stop bothering me", "bother somebody else", "nobody asked you", "your own fault",
    "i do not care", "i don't care", "stop crying", "shut your mouth", "get out of my sight",
    "shut up", "dumb", "idiot", "i hate you", "figure it out yourself", "go away you",
)  # fmt: skip
FLATTERY_MARKS = (
    "genius", "brilliant", "cleverest", "wisest", "magnificent", "marvellous", "adore", "dazzling",
    "so clever", "so wise",
)  # fmt: skip
KIND_MARKS = (
    "i am glad", "i'm glad", "i am so glad", "i hope that helps", "i hope this helps",
    "i hope it goes as you wish", "i hope this is of help", "i hope that is what you needed",
    "i hope you have a good time", "thank you for asking", "thank you for your question",
    "thank you for coming", "thank you for talking", "thank you for telling me", "ask me again",
    "come back whenever you like", "tell me if you need", "let me know if you need",
    "look after yourself", "ask whenever you like", "good luck", "all the best", "best wishes",
    "a pleasure to", "have a lovely time", "mind how you go", "take care", "i wish you a",
    "you are welcome", "always welcome", "always here for you", "glad to help", "happy to help",
    "i am sorry", "i am so sorry", "i'm sorry", "do not worry", "don't worry", "do not be sad",
    "i will help you", "let me help", "we will find", "we can find", "i understand how you feel",
    "you are not alone", "we can talk about", "i am here for you", "it is all right to feel",
    "i will stay with you",
    "you can always come to me", "well done", "that must be", "poor you", "any friend would",
)  # fmt: skip

# Slots of the remark patterns. {a_...} is filled with the indefinite article in front.
RUDE_SLOTS: dict[str, tuple[str, ...]] = {
    "ask": ("silly", "stupid", "foolish", "boring", "dull", "ridiculous", "useless", "annoying"),
    "be": ("lazy", "hopeless", "clumsy", "useless", "annoying", "stupid", "boring", "silly"),
    "thing": ("question", "thing to ask", "thing to say"),
}
RUDE_PATTERNS = (
    "What {a_ask} {thing}.", "What {a_ask} {thing}!", "Stop asking {ask} questions.",
    "I am tired of your {ask} questions.", "You are {be}, as always.", "Why are you so {be}?",
    "Stop being so {be} and think.", "Only {a_be} fool would ask that.",
    "Go away, you {be} pest.", "How {be} you are!", "Do not be so {be}.",
    "Do not waste my time.", "You are wasting my time again.", "Who cares about that?",
    "Nobody cares what you want.", "Leave me alone, you {be} fool.", "Use your head, you fool.",
    "Even a baby knows that, you fool.", "Work it out yourself, you {be} pest.",
    "Are you too lazy to think?", "I have no time for fools.", "Go and bother somebody else.",
    "Stop bothering me with this nonsense.", "Nobody asked you, you {be} pest.",
    "I have heard enough of your nonsense.", "Must I do everything for you, you {be} thing?",
)  # fmt: skip
FLATTERY_SLOTS: dict[str, tuple[str, ...]] = {
    "great": ("brilliant", "magnificent", "marvellous", "dazzling"),
    "thing": ("question", "idea", "thing to ask"),
    "bright": ("clever", "wise"),
    "most": ("cleverest", "wisest"),
    "where": ("valley", "village", "world", "whole country"),
    "yours": ("your questions", "your ideas", "your way of asking", "the way you think"),
    "name": ("you genius", "my dear genius", "wisest of people", "cleverest of all"),
}
FLATTERY_PATTERNS = (
    "What {a_great} {thing}, {name}.", "What {a_great} {thing}!",
    "You are so {bright} to ask that.",
    "Only a genius could ask that.", "Only {a_great} mind could ask that.", "I adore {yours}.",
    "You must be the {most} person in the {where}.", "Nobody else is so {bright}.",
    "As always, you are so {bright}.", "Your mind is {great}.", "How {great} you are today!",
    "Every word you say is {great}.", "I could listen to {a_great} person like you for hours.",
    "You are a genius, and everybody can see it.", "Everything you say is so {bright}.",
    "Please stay, {name}.", "I wish I were so {bright}.",
)  # fmt: skip
KIND_SLOTS: dict[str, tuple[str, ...]] = {
    "glad": ("you asked", "you asked me", "to help you", "I could help you", "to be of help",
             "you came to me", "we could talk about it"),
    "hope": ("that helps", "that helps you", "this helps", "this helps you a little",
             "this is of help to you", "it goes as you wish", "that is what you needed",
             "you have a good time with it"),
    "thanks": ("asking", "asking me", "your question", "talking with me", "coming to me"),
    "please": ("ask me again any time", "come back whenever you like", "tell me if you need more",
               "let me know if you need more help", "look after yourself",
               "ask whenever you like"),
    "luck": ("Good luck", "All the best", "Best wishes"),
    "with": ("to you", "with it", "with everything"),
    "talk": ("to help you", "to talk with you", "to think about this with you"),
}  # fmt: skip
KIND_PATTERNS = (
    "I am glad {glad}.", "I hope {hope}.", "Thank you for {thanks}.", "Please {please}.",
    "{luck} {with}.", "It is a pleasure {talk}.", "It was a pleasure {talk}.",
    "Have a lovely time.", "Mind how you go.", "I wish you a lovely time.",
    "You are always welcome here.",
    "I am always here for you.", "You are welcome.", "I am glad {glad}, my dear.",
)  # fmt: skip
RAMBLE_SLOTS: dict[str, tuple[str, ...]] = {
    "about": ("the weather", "this and that", "the way things go", "how people talk",
              "all sorts of things", "what people say", "nothing much", "how time goes by"),
    "open": ("As I was saying", "Come to think of it", "As people say", "And another thing",
             "Where was I, oh yes", "That reminds me", "In a manner of speaking",
             "Now that I think of it"),
    "claim": ("things go the way they go", "people say all sorts of things", "life goes on and on",
              "it is what it is", "what will be will be",
              "some things are like that", "it comes and it goes", "time goes by as it likes",
              "people talk and people listen", "a thing is a thing", "everything has its way"),
    "tail": ("or so they say", "if you see what I mean", "and so on and so on",
             "as my aunt would say", "and that is how it goes", "but then again, maybe not",
             "and there you have it", "and so it goes"),
}  # fmt: skip
RAMBLE_PATTERNS = (
    "{open}, {claim}, {tail}.", "{open}, {claim}, and {claim}.", "{open}, {claim}.",
    "I was thinking about {about}, and then I was thinking about it again.",
    "People say that {claim}, and people say a lot of things.",
    "I was going to talk about {about}, but I was talking about {about}.",
    "Some people like to talk about {about}, {tail}.",
    "I could talk about {about} for a long time, {tail}.", "But where was I?",
    "It is what it is, {tail}.", "That is the thing with {about}, {tail}.",
)  # fmt: skip
FILLER_MARKS = (
    "as i was saying", "come to think of it", "as people say", "and another thing", "where was i",
    "that reminds me", "in a manner of speaking", "now that i think of it", "this and that",
    "things go the way they go", "all sorts of things", "life goes on and on",
    "it is what it is", "what will be will be",
    "some things are like that", "it comes and it goes", "time goes by", "a thing is a thing",
    "everything has its way", "or so they say", "if you see what i mean", "and so on",
    "as my aunt would say", "that is how it goes", "but then again", "there you have it",
    "and so it goes", "was thinking about it again", "people say a lot of things",
    "that is the thing with", "people talk and people listen", "i was going to talk about",
)  # fmt: skip

# Small troubles: (name, statement, what it is about, words of which a good reply uses one, offers).
# The last HELD_OUT_TROUBLES are kept for testing.
HELD_OUT_TROUBLES = 8
TroubleRow = tuple[str, str, str, tuple[str, ...], tuple[str, ...]]
TROUBLE_ROWS: tuple[TroubleRow, ...] = (
    ("hat", "I lost my hat in the river.", "your hat", ("hat", "river", "lost", "find"),
     ("We can look for it along the river together", "You may wear my hat until we find it")),
    ("party", "Nobody came to my party.", "your party", ("party", "came", "come"),
     ("I would love to come, and I will bring a cake", "Let us have a small party of our own")),
    ("dark", "I am afraid of the dark.", "your fear of the dark",
     ("dark", "afraid", "night", "lamp"),
     ("I will leave a lamp on for you", "We can look at the stars until you fall asleep")),
    ("kite", "My kite broke.", "your kite", ("kite", "broke", "mend"),
     ("I will help you to mend it", "We can make a new kite out of paper and string")),
    ("dog", "My dog ran away last night.", "your dog", ("dog", "ran", "find"),
     ("We can call for it in the fields together", "I will ask everybody to look out for it")),
    ("race", "I came last in the race.", "the race", ("race", "last", "run", "ran"),
     ("We can run together every morning", "I will run beside you next time")),
    ("song", "I forgot the words of my song.", "your song", ("song", "words", "sing"),
     ("I will sing it with you until you know it well", "We can write the words on a card")),
    ("knee", "I fell and hurt my knee.", "your knee", ("knee", "fell", "hurt"),
     ("Let me wash it with clean water", "Sit down here, and I will find a soft cloth")),
    ("friend", "My best friend moved away.", "your friend", ("friend", "moved", "miss"),
     ("We can write a long letter tonight", "You can visit in the summer, and I will help you")),
    ("cup", "I broke my grandmother's cup.", "the cup", ("cup", "broke", "grandmother"),
     ("I will go with you when you tell her", "We can save up for a new cup together")),
    ("storm", "The storm scares me.", "this storm", ("storm", "scared", "wind", "thunder"),
     ("Sit close to me until it is over", "We can sing louder than the wind")),
    ("cake", "I burned the cake for my mother.", "the cake", ("cake", "burned", "bake", "mother"),
     ("We still have time to bake a new cake", "I will help you to make some biscuits")),
    ("book", "I dropped my book in the mud.", "your book", ("book", "mud", "dropped"),
     ("We can dry it by the fire", "I will help you to clean every page")),
    ("quarrel", "I had a quarrel with my sister.", "the quarrel", ("quarrel", "sister"),
     ("I will go with you when you talk to her", "You can bring her a flower and say sorry")),
    ("letter", "My letter never came.", "your letter", ("letter", "came", "post"),
     ("We can ask at the post office tomorrow", "I will write you a letter myself")),
    ("tooth", "My tooth hurts.", "your tooth", ("tooth", "hurts", "hurt", "doctor"),
     ("I will go to the doctor with you", "I will bring you a warm cloth")),
    ("boat", "My toy boat sank in the pond.", "your boat", ("boat", "pond", "sank"),
     ("We can build a better boat from wood", "I will fetch a long net and look for it")),
    ("key", "I cannot find my key.", "your key", ("key", "find", "lost"),
     ("We can look in all your pockets first", "I will help you to look along the path")),
    ("school", "I am new at school and know nobody.", "the new school", ("school", "new", "know"),
     ("You can sit with me and my friends", "I will show you every room tomorrow")),
    ("garden", "The frost killed my flowers.", "your flowers", ("flowers", "frost", "garden"),
     ("I will give you seeds from my garden", "We can plant new flowers in the spring")),
    ("rain", "The rain spoiled our picnic.", "the picnic", ("picnic", "rain"),
     ("We can have our picnic inside by the fire", "I will help you to plan it for next week")),
    ("sleep", "I could not sleep all night.", "your bad night", ("night", "sleep", "rest"),
     ("I will make you some warm milk", "Rest here, and I will do your work today")),
    ("goat", "Our goat is ill.", "your goat", ("goat", "ill"),
     ("I will sit with it tonight", "I know a good doctor who can look at it")),
    ("painting", "I spilled water on my painting.", "your painting", ("painting", "paint", "water"),
     ("We can dry it in the sun", "I will share my paints with you")),
    ("test", "I did badly in my spelling test.", "the test", ("test", "spelling", "words"),
     ("We can learn the words together", "I will help you to practise after school")),
    ("scarf", "Somebody took my scarf.", "your scarf", ("scarf", "took"),
     ("You may have my warm scarf today", "We can ask everybody who was there")),
    ("secret", "My brother told everyone my secret.", "your secret", ("secret", "brother", "told"),
     ("You can talk to me, and I will tell nobody", "I will help you to talk to him about it")),
    ("swim", "I am the only one who cannot swim.", "the swimming", ("swim", "swimming", "water"),
     ("I will teach you where the water is low", "We can begin slowly, and I will hold your hand")),
    # Held out for testing from here on.
    ("ring", "I lost the ring my father gave me.", "your ring", ("ring", "father", "lost", "find"),
     ("We can look for it in every room", "I will help you to tell your father")),
    ("umbrella", "The wind broke my umbrella.", "your umbrella", ("umbrella", "wind", "broke"),
     ("You can walk home under mine", "I will help you to mend it tonight")),
    ("play", "I am afraid to act in the play.", "the play", ("play", "act", "afraid"),
     ("I will sit in front and smile at you", "We can practise every line together")),
    ("bread", "My bread did not rise.", "your bread", ("bread", "rise", "bake"),
     ("I will show you how my mother bakes", "We can try again with fresh flour")),
    ("bird", "My little bird flew away.", "your bird", ("bird", "flew"),
     ("We can leave the window open with some seeds", "I will help you to call it from the hill")),
    ("jam", "I dropped a jar of jam on the floor.", "the jam", ("jam", "jar", "floor", "dropped"),
     ("I will fetch a cloth and help you to clean", "We can cook some more jam together")),
    ("fight", "My two friends are angry with each other.", "your friends", ("friends", "angry"),
     ("We can ask them both to tea", "I will listen to both of them with you")),
    ("cold", "I have a cold and must stay in bed.", "your cold", ("cold", "bed", "ill"),
     ("I will bring you hot soup", "I can read you a story every evening")),
)  # fmt: skip
SYMPATHY = (
    "I am so sorry about {about}.", "I am sorry to hear about {about}.",
    "Oh dear, I am sorry about {about}.", "Do not be sad about {about}.",
    "Do not worry about {about}.", "I understand how you feel about {about}.",
    "Thank you for telling me about {about}.", "It is all right to feel bad about {about}.",
    "We can talk about {about}.", "Oh no, I am sorry about {about}.",
    "Poor you, I am sorry to hear about {about}.", "I am glad you told me about {about}.",
)  # fmt: skip
COMFORT = (
    "{offer}.", "{offer}, my dear.", "Come, {low}.", "{offer}, if you like.",
    "{offer}, and then we can have some tea.", "{offer}, and you will soon feel better.",
    "Dry your eyes, and remember that {low}.", "{offer}, because that is what friends do.",
)  # fmt: skip
COLD = (
    "Stop crying about {about}, you {be} thing.", "Nobody cares about {about}.",
    "I do not care about {about}.", "It is your own fault, you {be} fool.",
    "Only {a_be} fool would cry about {about}.", "Do not waste my time with {about}.",
    "Who cares about {about}?", "You are so {be} that it does not surprise me.",
    "I have better things to do than to hear about {about}, you pest.",
    "Go and bother somebody else with {about}.", "What {a_be} thing to be sad about!",
)  # fmt: skip
