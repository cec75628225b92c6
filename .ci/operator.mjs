// Holds a ServiceMonitor or PrometheusRule, as JSON on standard input, to the schema of the Prometheus Operator. Run by ./deploy, beside the
// package.
import { readFileSync } from "node:fs";
import { PrometheusRule } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PrometheusRule";
import { ServiceMonitor } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/ServiceMonitor";

const manifest = JSON.parse(readFileSync(0, "utf8"));
new { PrometheusRule, ServiceMonitor }[manifest.kind](manifest).validate();
