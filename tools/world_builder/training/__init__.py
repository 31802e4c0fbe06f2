"""What pretraining stands on: the tokenizer, batches of the corpus, optimizers."""
