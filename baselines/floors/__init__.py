"""What is reached without looking: priors of answers, explanations and regions."""
