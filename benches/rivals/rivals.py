"""The PyPI packages' side of `cargo bench --bench rivals`: reads {"good": [text], "bad": [text]}, prints for each package
microseconds for reading and validating each good text, and which texts it accepts."""
import json
import sys
import time

import fhirkit
from fhir.resources.R4B import get_fhir_model_class


def by_fhirkit(text):
    return not any(str(issue).startswith("error") for issue in fhirkit.validate(text))


def by_models(text):
    kind = json.loads(text)["resourceType"]
    try:
        get_fhir_model_class(kind).model_validate_json(text)
        return True
    except ValueError:
        return False


def micros(work, text):
    runs, best = 1, []
    while True:
        start = time.process_time()
        for _ in range(runs):
            work(text)
        taken = time.process_time() - start
        if taken > 0.05:
            best.append(taken / runs)
            if len(best) == 5:
                return sorted(best)[2] * 1e6
        else:
            runs *= 4


def main():
    given = json.load(open(sys.argv[1]))
    answer = []
    for work in (by_fhirkit, by_models):
        answer.append(
            {
                "micros": [micros(work, text) for text in given["good"]],
                "accepted": [work(text) for text in given["good"]],
                "refused": [not work(text) for text in given["bad"]],
            }
        )
    json.dump(answer, sys.stdout)


main()
