{{/* What everything of this release is called: the release's own name where it says grantkeeper already. */}}
{{- define "grantkeeper.fullname" -}}
{{- $name := ternary .Release.Name (printf "%s-grantkeeper" .Release.Name) (contains "grantkeeper" .Release.Name) -}}
{{- $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{/* The user name under which a process of this release is known to the API server. Takes (list . "controller"). */}}
{{- define "grantkeeper.username" -}}
{{- $root := index . 0 -}}
system:serviceaccount:{{ $root.Release.Namespace }}:{{ include "grantkeeper.fullname" $root }}-{{ index . 1 }}
{{- end -}}

{{/* The labels by which a Deployment finds its Pods; they can never change. Takes (list . "controller"). */}}
{{- define "grantkeeper.selector" -}}
app.kubernetes.io/name: grantkeeper
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* The labels of everything. Takes (list . "controller"). */}}
{{- define "grantkeeper.labels" -}}
{{- $root := index . 0 -}}
{{ include "grantkeeper.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: grantkeeper
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ $root.Chart.Name }}-{{ $root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "grantkeeper.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end -}}
{{- end -}}

{{- define "grantkeeper.externalURL" -}}
{{- $url := required "Set externalURL to where people's browsers reach the consent pages, such as https://connect.example.com" .Values.externalURL -}}
{{- if not (regexMatch "^(https://[^\\s/?#@]+|http://(localhost|127(\\.[0-9]+){3}|\\[::1\\])(:[0-9]+)?)(/[^\\s?#@]*)?$" $url) -}}
{{- fail (printf "externalURL must begin with https://, or, on a loopback host for development, http://, and name no user, query or fragment; it is %q" $url) -}}
{{- end -}}
{{- $url | trimSuffix "/" -}}
{{- end -}}

{{/* Pod Security "restricted", the Pod's part. */}}
{{- define "grantkeeper.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{/* Pod Security "restricted", the container's part. */}}
{{- define "grantkeeper.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}
