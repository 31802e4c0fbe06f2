"""Documents with a lesson: facts, questions and answers, dialogues, sums and problems, programs."""
