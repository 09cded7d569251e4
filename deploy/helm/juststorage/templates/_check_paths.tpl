{{/* What has to outlive the pod lies on a volume that does, each thing in a place of its own. */}}
{{- define "juststorage.checkPaths" -}}
{{- $config := .Values.config -}}
{{- $data := include "juststorage.dataDir" . -}}
{{- include "juststorage.checkPath" (dict "context" . "setting" "config.data_dir" "path" $data "kinds" (list "kept" "lost") "home" "/var/lib/juststorage/data") -}}
{{- $paths := dict -}}
{{- if eq (dig "metadata" "backend" "" $config) "sqlite" -}}
{{- $path := dig "metadata" "sqlite" "path" "" $config -}}
{{- $setting := ternary "config.metadata.sqlite.path" "config.data_dir" (not (empty $path)) -}}
{{- $path = $path | default (printf "%s/metadata.sqlite3" $data) -}}
{{- include "juststorage.checkPath" (dict "context" . "setting" $setting "path" $path "kinds" (list "kept") "own" "data" "home" "/var/lib/juststorage/data") -}}
{{- $_ := set $paths $setting (clean $path) -}}
{{- end -}}
{{- range $place, $class := dict "blobs.hot" "hot" "blobs.cold" "cold" "backup.contents" "hot" "backup.manifests" "cold" -}}
{{- $section := (include "juststorage.at" (list $config $place) | fromJson).value | default dict -}}
{{- if eq (dig "backend" "" $section) "localfs" -}}
{{- $path := dig "localfs" "root" "" $section | default (printf "%s/%s" $data $class) -}}
{{- $setting := printf "config.%s.localfs.root" $place -}}
{{- $own := ternary $class "" (hasPrefix "blobs." $place) -}}
{{- $home := ternary (printf "/var/lib/juststorage/%s" $class) "" (hasPrefix "blobs." $place) -}}
{{- include "juststorage.checkPath" (dict "context" $ "setting" $setting "path" $path "kinds" (list "kept") "own" $own "home" $home) -}}
{{- $_ := set $paths $setting (clean $path) -}}
{{- end -}}
{{- end -}}
{{- range $one, $path := $paths -}}
{{- range $other, $same := $paths -}}
{{- if and (lt $one $other) (eq $path $same) -}}
{{- fail (printf "%s and %s are both %s; each needs a place of its own" $one $other $path) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* A path lies on a mount of one of some kinds; among the chart's own volumes only on `own`, if that is
given. Takes a dictionary with context, setting, path, kinds, own, and the home that the sentence names. */}}
{{- define "juststorage.checkPath" -}}
{{- $advice := "take one on a volume that you mount by extraVolumes and extraVolumeMounts" -}}
{{- with .home }}{{ $advice = printf "take one in %s, or on a volume that you mount by extraVolumeMounts" . }}{{ end -}}
{{- if not (isAbs .path) -}}
{{- fail (printf "%s: %q is no absolute path; %s" .setting .path $advice) -}}
{{- end -}}
{{- $mount := include "juststorage.mountOf" (list .context (clean .path)) | fromJson -}}
{{- if not $mount.path -}}
{{- fail (printf "%s: %s lies on no volume, and the container's own files are read-only; %s" .setting .path $advice) -}}
{{- end -}}
{{- if not (has $mount.kind .kinds) -}}
{{- $why := ternary "which goes with the pod" "which cannot be written" (eq $mount.kind "lost") -}}
{{- fail (printf "%s: %s lies on %s, %s; %s" .setting .path $mount.path $why $advice) -}}
{{- end -}}
{{- $volumes := (include "juststorage.volumes" .context | fromJson).names -}}
{{- if and .own (has $mount.name $volumes) (ne $mount.name .own) -}}
{{- fail (printf "%s: %s lies on the volume %s, which is for other things; %s" .setting .path $mount.name $advice) -}}
{{- end -}}
{{- end }}

{{/* The deepest mount that a clean path lies on, as JSON: its path, the name of its volume, and the kind:
`kept` outlives the pod, `lost` does not, `read` cannot be written. Without one, nothing. Takes (list context path). */}}
{{- define "juststorage.mountOf" -}}
{{- $context := index . 0 -}}
{{- $path := index . 1 -}}
{{- $kept := (include "juststorage.volumes" $context | fromJson).names -}}
{{- $kinds := dict -}}
{{- range include "juststorage.podVolumes" (list $context "") | fromYamlArray -}}
{{- $volume := . -}}
{{- $kind := "kept" -}}
{{- range list "emptyDir" "ephemeral" }}{{ if hasKey $volume . }}{{ $kind = "lost" }}{{ end }}{{ end -}}
{{- range list "configMap" "secret" "projected" "downwardAPI" "image" }}{{ if hasKey $volume . }}{{ $kind = "read" }}{{ end }}{{ end -}}
{{- $_ := set $kinds .name $kind -}}
{{- end -}}
{{- if not (has "data" $kept) }}{{ $_ := set $kinds "data" "lost" }}{{ end -}}
{{- $found := dict -}}
{{- $mounts := concat (include "juststorage.mounts" $context | fromYamlArray) (include "juststorage.ownMounts" $context | fromYamlArray) -}}
{{- range $mounts -}}
{{- $at := clean .mountPath -}}
{{- if and (or (eq $at $path) (hasPrefix (printf "%s/" (trimSuffix "/" $at)) $path)) (ge (len $at) (len ($found.path | default ""))) -}}
{{- $kind := ternary "read" (get $kinds .name | default "kept") (.readOnly | default false) -}}
{{- $found = dict "path" $at "name" .name "kind" $kind -}}
{{- end -}}
{{- end -}}
{{- $found | toJson -}}
{{- end }}
