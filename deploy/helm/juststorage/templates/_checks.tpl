{{/* What a schema cannot say: each mistake is one sentence at `helm template`. Only what cannot work is
refused: an image may have more than is known here, and what `plugins.backends` names is let through. */}}
{{- define "juststorage.check" -}}
{{- include "juststorage.checkVariables" . -}}
{{- include "juststorage.checkBackends" . -}}
{{- include "juststorage.checkSecrets" . -}}
{{- include "juststorage.checkPaths" . -}}
{{- include "juststorage.checkScale" . -}}
{{- include "juststorage.checkListening" . -}}
{{- include "juststorage.checkOperation" . -}}
{{- end }}

{{/* What a tree has at a dotted path, as JSON: `value`, empty where it has nothing. */}}
{{- define "juststorage.at" -}}
{{- $found := index . 0 -}}
{{- range $part := splitList "." (index . 1) -}}
{{- if kindIs "map" $found }}{{ $found = get $found $part }}{{ else }}{{ $found = "" }}{{ end -}}
{{- end -}}
{{- dict "value" $found | toJson -}}
{{- end }}

{{/* The variable of a dotted setting. */}}
{{- define "juststorage.variable" -}}
JUSTSTORAGE__{{ . | replace "." "__" | upper }}
{{- end }}

{{/* Variables that would win over what the chart goes by. */}}
{{- define "juststorage.checkVariables" -}}
{{- $settings := list "data_dir" "server.host" "server.port" "metadata.backend" "metadata.sqlite.path" "gc.enabled" "gc.metrics_host" "gc.metrics_port" -}}
{{- range $place := list "blobs.hot" "blobs.cold" "backup.contents" "backup.manifests" -}}
{{- $settings = concat $settings (list (printf "%s.backend" $place) (printf "%s.localfs.root" $place)) -}}
{{- end -}}
{{- range $variable := .Values.env -}}
{{- range $setting := $settings -}}
{{- if eq (upper $variable.name) (include "juststorage.variable" $setting) -}}
{{- fail (printf "env: %s would win over config.%s, by which the chart makes volumes, ports and probes; set that" $variable.name $setting) -}}
{{- end -}}
{{- end -}}
{{- if eq $variable.name "JUSTSTORAGE_CONFIG" -}}
{{- fail "env: JUSTSTORAGE_CONFIG names the file that the chart makes of config" -}}
{{- end -}}
{{- if and (eq $variable.name "PYTHONPATH") $.Values.plugins.packages -}}
{{- fail "env: PYTHONPATH leads to plugins.packages; packages that you mount yourself belong into an image" -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "juststorage.checkSecrets" -}}
{{- $known := .Files.Get "backends.json" | fromJson -}}
{{- range $path, $ref := .Values.secrets -}}
{{- if $ref -}}
{{- $taken := false -}}
{{- range $secret := $known.secrets -}}
{{- $any := and (hasSuffix ".*" $secret) (hasPrefix (trimSuffix "*" $secret) $path) -}}
{{- if or $any (eq $secret $path) }}{{ $taken = true }}{{ end -}}
{{- end -}}
{{- range $part := splitList "." $path }}{{ if has $part $.Values.plugins.backends }}{{ $taken = true }}{{ end }}{{ end -}}
{{- if not $taken -}}
{{- fail (printf "secrets: there is no secret option %q (known: %s); name its backend in plugins.backends if your image or plugins.packages has it" $path ($known.secrets | join ", ")) -}}
{{- end -}}
{{- $plain := (include "juststorage.at" (list $.Values.config $path) | fromJson).value -}}
{{- if and $plain (not (kindIs "map" $plain)) -}}
{{- fail (printf "config.%s is set although secrets names a Secret for it" $path) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "juststorage.checkScale" -}}
{{- $volumes := (include "juststorage.volumes" . | fromJson).names -}}
{{- if and $volumes (gt (int .Values.replicas) 1) -}}
{{- fail (printf "replicas: 1 is the most with volumes of its own (%s): another pod would have other volumes, and not find what this one stored; use an object store for more" (join ", " $volumes)) -}}
{{- end -}}
{{- with .Values.autoscaling -}}
{{- if and $volumes .enabled -}}
{{- fail (printf "autoscaling.enabled: not with volumes of its own (%s): another pod would have other volumes" (join ", " $volumes)) -}}
{{- end -}}
{{- if and .enabled (gt (int .minReplicas) (int .maxReplicas)) -}}
{{- fail (printf "autoscaling.minReplicas: %d is more than autoscaling.maxReplicas, %d" (int .minReplicas) (int .maxReplicas)) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Who is called from outside the pod has to listen there. */}}
{{- define "juststorage.checkListening" -}}
{{- $loopback := list "127.0.0.1" "::1" "localhost" -}}
{{- if has (include "juststorage.host" .) $loopback -}}
{{- fail "config.server.host: the Service, probes and Prometheus come from outside the pod; take 0.0.0.0, or ::" -}}
{{- end -}}
{{- if not (int (dig "server" "port" 0 .Values.config)) -}}
{{- fail "config.server.port: the Service has to know it; take one from 1 to 65535" -}}
{{- end -}}
{{- with include "juststorage.collectorPort" . -}}
{{- if has (dig "gc" "metrics_host" "" $.Values.config) (prepend $loopback "") -}}
{{- fail "config.gc.metrics_host: probes and Prometheus come from outside the pod; take 0.0.0.0, or 0 as metrics_port" -}}
{{- end -}}
{{- $volumes := (include "juststorage.volumes" $ | fromJson).names -}}
{{- if and $volumes (eq . ($.Values.config.server.port | int | toString)) -}}
{{- fail (printf "config.gc.metrics_port: %s is the server's port, and the collector runs in its pod; take another" .) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.host) -}}
{{- fail "ingress.host is missing" -}}
{{- end -}}
{{- if and .Values.gateway.enabled (not .Values.gateway.parentRefs) -}}
{{- fail "gateway.parentRefs is empty: name the Gateway" -}}
{{- end -}}
{{- end }}

{{- define "juststorage.checkOperation" -}}
{{- $config := .Values.config -}}
{{- if hasSuffix "latest" .Values.image.tag -}}
{{- fail "image.tag: latest is a different image tomorrow; name a version, or a digest" -}}
{{- end -}}
{{- if and (not .Values.collector.enabled) (not .Values.collector.elsewhere) (not (dig "gc" "enabled" true $config)) -}}
{{- fail "config.gc.enabled: with collector.enabled=false, too, nobody collects, and what was deleted is kept for ever; if another release or a CronJob collects from the same stores, set collector.elsewhere" -}}
{{- end -}}
{{- if .Values.metrics.serviceMonitor.enabled -}}
{{- if not (dig "metrics" "enabled" true $config) -}}
{{- fail "config.metrics.enabled: off, although metrics.serviceMonitor.enabled has Prometheus ask for them" -}}
{{- end -}}
{{- if dig "metrics" "require_auth" false $config -}}
{{- fail "config.metrics.require_auth: the monitors of metrics.serviceMonitor.enabled have no key to show; keep callers away by networkPolicy.from, or write a monitor with a key into extraObjects" -}}
{{- end -}}
{{- end -}}
{{- with dig "tracing" "endpoint" "" $config -}}
{{- if not (regexMatch "(?i)^https?://[^/?#@:][^/?#@]*([/?#]|$)" .) -}}
{{- fail (printf "config.tracing.endpoint: %q is no http or https URL without a user or password; credentials go to secrets: tracing.headers.*" .) -}}
{{- end -}}
{{- end -}}
{{- end }}
