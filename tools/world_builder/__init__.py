"""What made data/ and the base model; nobody who takes the course needs it, and it needs a clone.

To make everything again, run from the clone's root, in this order:

    python -m tools.world_builder.build      data/*.jsonl, the same bytes on every machine
    python -m tools.world_builder.pretrain   data/models/tiny-base: minutes on a graphics card,
                                             hours on two CPU cores
    python -m tools.world_builder.measure    what data/README.md says of the base model's language,
                                             manners, sums and facts, in minutes

The tasks, replies, annotators and problems are the package's own (`minialign.world`, worded in
data/world/*.toml), since the course draws them as well. Here is what only the base model reads:

    build       writes data/*.jsonl from demonstrations, comparisons and problems
    corpus      draws the documents that the base model reads; document i is a function of i
    lessons/    the documents with a lesson: facts of the village, questions and answers, dialogues,
                sums and solved problems, programs of a stack language
    documents/  all other documents: nature, lists, reviews, letters, quizzes, judgements, opinions
    events      small happenings that several kinds of documents tell of
    training/   the tokenizer, batches of the corpus (in worker processes if asked to), and Muon for
                all matrices of one shape at once, with AdamW
    pretrain    trains the base model on the corpus, and goes on where it was stopped
    measure     perplexity, behaviour and knowledge of the base model, agreement of annotators
    measuring/  `skills`, each against chance; `targets` of the course's stages; `eye`, a reader
                against the checkers; `real_models`, the same instructions asked of a real model;
                `ngram`, count-based models to compare the base model with

The package must never import anything from here.
"""
