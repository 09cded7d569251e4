{{/* What a schema cannot say: each mistake is one sentence at `helm template`. */}}
{{- define "juststorage.check" -}}
{{- $known := .Files.Get "backends.json" | fromJson -}}
{{- $extra := .Values.plugins.backends -}}
{{- $chosen := dict "metadata.backend" (list "metadata_store" .Values.config.metadata.backend) -}}
{{- range $class := list "hot" "cold" -}}
{{- $name := dig $class "backend" "" $.Values.config.blobs -}}
{{- if $name }}{{ $_ := set $chosen (printf "blobs.%s.backend" $class) (list "blob_store" $name) }}{{ end -}}
{{- end -}}
{{- range $place, $choice := $chosen -}}
{{- $names := get $known (index $choice 0) -}}
{{- if not (or (has (index $choice 1) $names) (has (index $choice 1) $extra)) -}}
{{- fail (printf "config.%s: there is no backend %q (known: %s); name it in plugins.backends if your image or plugins.packages has it" $place (index $choice 1) (join ", " $names)) -}}
{{- end -}}
{{- end -}}
{{- if eq .Values.config.metadata.backend "memory" -}}
{{- fail "config.metadata.backend: memory forgets everything when the pod ends" -}}
{{- end -}}
{{- range $path, $ref := .Values.secrets -}}
{{- if $ref -}}
{{- $parts := splitList "." $path -}}
{{- $taken := false -}}
{{- range $secret := get $known "secrets" -}}
{{- $any := and (hasSuffix ".*" $secret) (hasPrefix (trimSuffix "*" $secret) $path) -}}
{{- if or $any (eq $secret $path) }}{{ $taken = true }}{{ end -}}
{{- end -}}
{{- range $part := $parts }}{{ if has $part $extra }}{{ $taken = true }}{{ end }}{{ end -}}
{{- if not $taken -}}
{{- fail (printf "secrets: there is no secret option %q (known: %s); name its backend in plugins.backends if your image or plugins.packages has it" $path (get $known "secrets" | join ", ")) -}}
{{- end -}}
{{- $tree := $.Values.config -}}
{{- range $part := $parts -}}
{{- if kindIs "map" $tree }}{{ $tree = get $tree $part }}{{ end -}}
{{- end -}}
{{- if and $tree (not (kindIs "map" $tree)) -}}
{{- fail (printf "config.%s is set although secrets names a Secret for it" $path) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and (eq .Values.config.metadata.backend "postgres") (not (get .Values.secrets "metadata.postgres.url")) -}}
{{- fail "secrets: metadata.postgres.url is missing: name the Secret that has the URL of the database" -}}
{{- end -}}
{{- $volumes := (include "juststorage.volumes" . | fromJson).names -}}
{{- if and $volumes (gt (int .Values.replicas) 1) -}}
{{- fail (printf "replicas: 1 is the most with volumes of its own (%s): another pod would have other volumes, and not find what this one stored; use an object store for more" (join ", " $volumes)) -}}
{{- end -}}
{{- if and $volumes .Values.autoscaling.enabled -}}
{{- fail (printf "autoscaling.enabled: not with volumes of its own (%s): another pod would have other volumes" (join ", " $volumes)) -}}
{{- end -}}
{{- with include "juststorage.collectorPort" . -}}
{{- if has (dig "gc" "metrics_host" "" $.Values.config) (list "" "127.0.0.1" "::1" "localhost") -}}
{{- fail "config.gc.metrics_host: probes and Prometheus come from outside the pod; take 0.0.0.0, or 0 as metrics_port" -}}
{{- end -}}
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
{{- if hasSuffix "latest" .Values.image.tag -}}
{{- fail "image.tag: latest is a different image tomorrow; name a version, or a digest" -}}
{{- end -}}
{{- end }}
