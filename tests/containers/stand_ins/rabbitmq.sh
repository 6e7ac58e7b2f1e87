#!/bin/bash
# Stands in for the entry point of the image "rabbitmq".
echo '[rabbitmq_prometheus].' >/tmp/enabled_plugins # as in the image
export RABBITMQ_ENABLED_PLUGINS_FILE=/tmp/enabled_plugins
export RABBITMQ_LOGS=- RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='+sbwt none +sbwtdcpu none +sbwtdio none'
exec "$@"
