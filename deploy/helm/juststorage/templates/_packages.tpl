{{/* Packages that the image lacks. pip comes from wherever the image has it, and looks at the environment
of the image's `python`, where the service is: what is there already satisfies, and its versions are
constraints, so that nothing of the image is installed a second time, or in another version. The first thing
on the path is a directory with nothing but the file that appends the packages: whatever they have, the
image's own modules are found first. */}}
{{- define "juststorage.installing" -}}
packages=/opt/juststorage-packages
constraints=/tmp/constraints.txt
command -v pip >/dev/null || { echo "plugins.packages: the image has no pip; make an image that has the packages" >&2; exit 1; }
rm -rf "$packages"/*
in_image() { pip --disable-pip-version-check --python "$(command -v python)" "$@"; }
in_image list --format=freeze >"$constraints"
in_image install --no-cache-dir --no-warn-script-location --prefix "$packages" --constraint "$constraints" "$@"
cat >"$packages/sitecustomize.py" <<'END'
import pathlib, site
for found in pathlib.Path(__file__).parent.glob("lib*/python*/*-packages"):
    site.addsitedir(str(found))
END
{{- end }}

{{- define "juststorage.initContainers" -}}
{{- if .Values.plugins.packages }}
initContainers:
  - name: packages
    image: {{ include "juststorage.image" . }}
    imagePullPolicy: {{ .Values.image.pullPolicy }}
    command:
      - /bin/sh
      - -ec
      - |
        {{- include "juststorage.installing" . | nindent 8 }}
      - install-packages
    args:
      {{- concat .Values.plugins.pipOptions .Values.plugins.packages | toYaml | nindent 6 }}
    env:
      - name: HOME
        value: /tmp
    resources:
      {{- toYaml .Values.migration.resources | nindent 6 }}
    securityContext:
      {{- include "juststorage.security" . | nindent 6 }}
    volumeMounts:
      - name: packages
        mountPath: /opt/juststorage-packages
      - name: tmp
        mountPath: /tmp
{{- end }}
{{- end }}
