"""Validates JSON documents against docs/schema/result.schema.json with PyPI's jsonschema. usage: check_schema.py SCHEMA FILE..."""
import json
import sys

import jsonschema


def main():
    schema = json.load(open(sys.argv[1]))
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    failed = False
    for path in sys.argv[2:]:
        for error in validator.iter_errors(json.load(open(path))):
            failed = True
            print(f"{path}: {error.json_path}: {error.message[:300]}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
