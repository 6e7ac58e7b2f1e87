#!/usr/bin/env bash
# roll-out.sh OVERLAY: apply an overlay, in the order in which the old and the new release work together: settings and servers,
# roles, schemas, the worker, the services, the gateway (docs/operations/kubernetes.md#a-new-release). Each step waits for the
# one before. If one fails, what follows keeps running the release before, and the script may run again.
set -euo pipefail

[ $# = 1 ] || { echo "usage: ${0##*/} OVERLAY, such as deploy/kubernetes/overlays/production" >&2; exit 2; }
manifests=$(mktemp)
trap 'rm -f "$manifests"' EXIT
kubectl kustomize "$1" >"$manifests"

apply() {
    echo "== $1"
    kubectl apply --filename "$manifests" --selector "$2"
}

# A job cannot be changed: those of the release before are deleted first. It has a condition when it ended, well or badly.
run_jobs() {
    local jobs=(job --namespace haoma --selector "rollout-step=$1")
    kubectl delete "${jobs[@]}" --ignore-not-found
    apply "$1" "rollout-step=$1"
    kubectl wait "${jobs[@]}" --for jsonpath='{.status.conditions[0].status}'=True --timeout "$2"
    kubectl wait "${jobs[@]}" --for condition=complete --timeout 1m \
        || { echo "a job failed: kubectl logs --namespace haoma job/NAME says why; nothing else was changed" >&2; exit 1; }
}

deploy() {
    apply "$1" "rollout-step=$1"
    kubectl rollout status deployment --namespace haoma --selector "rollout-step=$1" --timeout 15m
}

apply settings '!rollout-step'
if grep -q 'rollout-step: roles' "$manifests"; then
    run_jobs roles 30m
fi
run_jobs schemas 4h
deploy worker
deploy services
deploy gateway
