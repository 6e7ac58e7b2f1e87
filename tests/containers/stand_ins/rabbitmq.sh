#!/bin/bash
# Stands in for the entry point of the image "rabbitmq".
export RABBITMQ_LOGS=- RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='+sbwt none +sbwtdcpu none +sbwtdio none'
exec "$@"
