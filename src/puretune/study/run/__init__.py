"""How a plan is carried out: adapters, answers and verdicts, each published when it is done."""
