{{- define "juststorage.name" -}}
{{- $name := ternary .Release.Name (printf "%s-juststorage" .Release.Name) (contains "juststorage" .Release.Name) -}}
{{- $name | trunc 50 | trimSuffix "-" -}}
{{- end }}

{{- define "juststorage.selector" -}}
app.kubernetes.io/name: juststorage
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "juststorage.labels" -}}
{{ include "juststorage.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "juststorage.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{/* The volumes that the chosen backends need, as a list of names. */}}
{{- define "juststorage.volumes" -}}
{{- $names := list -}}
{{- if eq (dig "metadata" "backend" "" .Values.config) "sqlite" }}{{ $names = append $names "data" }}{{ end -}}
{{- range $class := list "hot" "cold" -}}
{{- if eq (dig $class "backend" "" $.Values.config.blobs) "localfs" }}{{ $names = append $names $class }}{{ end -}}
{{- end -}}
{{- dict "names" $names | toJson -}}
{{- end }}

{{/* What the volumes go by is what the service is told, and never what the image would say. */}}
{{- define "juststorage.dataDir" -}}
{{- .Values.config.data_dir | default "/var/lib/juststorage/data" -}}
{{- end }}

{{- define "juststorage.host" -}}
{{- dig "server" "host" "" .Values.config | default "0.0.0.0" -}}
{{- end }}

{{/* Whether a migration is a step of its own: sqlite brings its file up to date when it starts. */}}
{{- define "juststorage.migrates" -}}
{{- if and .Values.migration.enabled (not (has (dig "metadata" "backend" "" .Values.config) (list "sqlite" "memory"))) }}true{{ end -}}
{{- end }}

{{/* A line of TOML for each setting: scalars and lists of JSON are TOML's, too. */}}
{{- define "juststorage.toml" -}}
{{- $path := .path -}}
{{- range $name, $value := .tree -}}
{{- $place := append $path ($name | toJson) -}}
{{- if kindIs "map" $value -}}
{{- include "juststorage.toml" (dict "tree" $value "path" $place) -}}
{{- else if not (kindIs "invalid" $value) -}}
{{ join "." $place }} = {{ $value | toJson }}
{{ end -}}
{{- end -}}
{{- end }}

{{- define "juststorage.config" -}}
{{- $tree := deepCopy .Values.config -}}
{{- $_ := set $tree "data_dir" (include "juststorage.dataDir" .) -}}
{{- $_ := set $tree "server" (merge (dict "host" (include "juststorage.host" .)) (deepCopy ($tree.server | default dict))) -}}
{{- if .Values.collector.enabled }}{{ $_ := set $tree "gc" (merge (dict "enabled" false) (deepCopy ($tree.gc | default dict))) }}{{ end -}}
{{- include "juststorage.toml" (dict "tree" $tree "path" list) -}}
{{- range $path, $ref := .Values.secrets -}}
{{- if $ref -}}
{{ $path }}.file = {{ printf "/run/secrets/juststorage/%s" $path | toJson }}
{{ end -}}
{{- end -}}
{{- end }}

{{/* The port at which a collector of its own tells its metrics; empty for none. */}}
{{- define "juststorage.collectorPort" -}}
{{- if .Values.collector.enabled }}{{ with dig "gc" "metrics_port" 0 .Values.config }}{{ . | int }}{{ end }}{{ end -}}
{{- end }}

{{- define "juststorage.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ .Values.runAs | int64 }}
runAsGroup: {{ .Values.runAs | int64 }}
fsGroup: {{ .Values.runAs | int64 }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "juststorage.security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "juststorage.env" -}}
- name: JUSTSTORAGE_CONFIG
  value: /etc/juststorage/juststorage.toml
{{- /* The image has variables for these two, so that it runs without a file; they would win over this one. */}}
- name: JUSTSTORAGE__DATA_DIR
  value: {{ include "juststorage.dataDir" . | quote }}
- name: JUSTSTORAGE__SERVER__HOST
  value: {{ include "juststorage.host" . | quote }}
{{- if .Values.plugins.packages }}
- name: PYTHONPATH
  value: /opt/juststorage-packages
{{- end }}
{{- with .Values.env }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "juststorage.mounts" -}}
- name: config
  mountPath: /etc/juststorage
  readOnly: true
- name: secrets
  mountPath: /run/secrets/juststorage
  readOnly: true
- name: tmp
  mountPath: /tmp
{{- if .Values.plugins.packages }}
- name: packages
  mountPath: /opt/juststorage-packages
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Mounts of the server's pod: volumes of its own, and the data directory in any case. */}}
{{- define "juststorage.ownMounts" -}}
{{- $names := (include "juststorage.volumes" . | fromJson).names -}}
{{- range ternary $names (append $names "data") (has "data" $names) }}
- name: {{ . }}
  mountPath: /var/lib/juststorage/{{ . }}
{{- end }}
{{- end }}

{{/* Volumes of every pod. Takes (list context name-of-the-config-map). */}}
{{- define "juststorage.podVolumes" -}}
{{- $context := index . 0 -}}
- name: config
  configMap:
    name: {{ index . 1 }}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      {{- range $path, $ref := $context.Values.secrets }}
      {{- if $ref }}
      - secret:
          name: {{ $ref.name }}
          items:
            - key: {{ $ref.key }}
              path: {{ $path }}
      {{- end }}
      {{- end }}
- name: tmp
  emptyDir: {}
{{- if $context.Values.plugins.packages }}
- name: packages
  emptyDir: {}
{{- end }}
{{- with $context.Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Container of the collector. Takes (list context extra-mounts). */}}
{{- define "juststorage.collector" -}}
{{- $context := index . 0 -}}
- name: collector
  image: {{ include "juststorage.image" $context }}
  imagePullPolicy: {{ $context.Values.image.pullPolicy }}
  args: [gc, worker]
  env:
    {{- include "juststorage.env" $context | nindent 4 }}
  {{- with include "juststorage.collectorPort" $context }}
  ports:
    - name: metrics
      containerPort: {{ . }}
  livenessProbe:
    httpGet: { path: /health, port: metrics }
    periodSeconds: 10
    timeoutSeconds: 5
    failureThreshold: 6
  {{- end }}
  resources:
    {{- toYaml $context.Values.collector.resources | nindent 4 }}
  securityContext:
    {{- include "juststorage.security" $context | nindent 4 }}
  volumeMounts:
    {{- include "juststorage.mounts" $context | nindent 4 }}
    {{- with index . 1 }}
    {{- . | nindent 4 }}
    {{- end }}
{{- end }}

{{- define "juststorage.scheduling" -}}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}
