{{/* What is chosen exists, is enabled, and has the options that it cannot be without. backends.json is
written by scripts/helm from the plugins that the image has. */}}
{{- define "juststorage.checkBackends" -}}
{{- $known := .Files.Get "backends.json" | fromJson -}}
{{- $extra := .Values.plugins.backends -}}
{{- include "juststorage.checkPlugin" (list $ $known.serve false "`juststorage serve`") -}}
{{- range $place, $section := $known.sections -}}
{{- $setting := printf "%s.%s" $place $section.selector -}}
{{- $chosen := (include "juststorage.at" (list $.Values.config $setting) | fromJson).value | default $section.default -}}
{{- if not (kindIs "slice" $chosen) }}{{ $chosen = list $chosen }}{{ end -}}
{{- if and (not $chosen) (has $place (list "metadata" "blobs.hot")) -}}
{{- fail (printf "config.%s is missing: name a %s (known: %s)" $setting $section.word (keys $section.offers | sortAlpha | join ", ")) -}}
{{- end -}}
{{- range $name := $chosen -}}
{{- include "juststorage.checkName" (list $ (printf "config.%s" $setting) $section $name) -}}
{{- if and (eq $name "memory") (hasSuffix " store" $section.word) -}}
{{- fail (printf "config.%s: memory forgets everything when the pod ends" $setting) -}}
{{- end -}}
{{- with get $section.offers $name -}}
{{- include "juststorage.checkPlugin" (list $ .plugin .core (printf "config.%s: %q" $setting $name)) -}}
{{- range $option := .required -}}
{{- include "juststorage.checkGiven" (list $ (printf "%s.%s.%s" $place $name $option) $known.secrets) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if ne (len ($chosen | uniq)) (len $chosen) -}}
{{- fail (printf "config.%s: %s: one is named twice" $setting (join ", " $chosen)) -}}
{{- end -}}
{{- $tables := (include "juststorage.at" (list $.Values.config $place) | fromJson).value | default dict -}}
{{- range $name, $table := $tables -}}
{{- if kindIs "map" $table -}}
{{- include "juststorage.checkName" (list $ (printf "config.%s.%s" $place $name) $section $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* A backend of this name exists. Takes (list context place section name). */}}
{{- define "juststorage.checkName" -}}
{{- $section := index . 2 -}}
{{- $name := index . 3 -}}
{{- if not (or (hasKey $section.offers $name) (has $name (index . 0).Values.plugins.backends)) -}}
{{- fail (printf "%s: there is no %s %q (known: %s); name it in plugins.backends if your image or plugins.packages has it" (index . 1) $section.word $name (keys $section.offers | sortAlpha | join ", ")) -}}
{{- end -}}
{{- end }}

{{/* A plugin is enabled: an allow list need not name core's own. Takes (list context plugin core who). */}}
{{- define "juststorage.checkPlugin" -}}
{{- $config := (index . 0).Values.config -}}
{{- $plugin := index . 1 -}}
{{- $enabled := dig "plugins" "enabled" "" $config -}}
{{- if and (kindIs "slice" $enabled) (not (has $plugin $enabled)) (not (index . 2)) -}}
{{- fail (printf "config.plugins.enabled: %s needs the plugin %q" (index . 3) $plugin) -}}
{{- end -}}
{{- if has $plugin (dig "plugins" "disabled" list $config | default list) -}}
{{- fail (printf "config.plugins.disabled: %s needs the plugin %q" (index . 3) $plugin) -}}
{{- end -}}
{{- end }}

{{/* An option is set: by config, by secrets or by env. Takes (list context option secrets). */}}
{{- define "juststorage.checkGiven" -}}
{{- $values := (index . 0).Values -}}
{{- $option := index . 1 -}}
{{- $given := or (get $values.secrets $option) (include "juststorage.at" (list $values.config $option) | fromJson).value -}}
{{- $variable := include "juststorage.variable" $option -}}
{{- range $values.env }}{{ if eq (upper .name) $variable }}{{ $given = true }}{{ end }}{{ end -}}
{{- if not $given -}}
{{- if has $option (index . 2) -}}
{{- fail (printf "secrets: %s is missing: name the Secret that has it" $option) -}}
{{- end -}}
{{- fail (printf "config.%s is missing" $option) -}}
{{- end -}}
{{- end }}
