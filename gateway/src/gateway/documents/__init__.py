"""The gateway's documents: /openapi.json, /asyncapi.json and /docs, generated from the models that the code runs on."""
