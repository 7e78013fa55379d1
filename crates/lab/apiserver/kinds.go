package main

import (
	"reflect"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
)

// kind is a core type that is stored as it comes, without upstream's validation and defaults.
type kind struct {
	version          schema.GroupVersion
	plural, singular string
	short            []string
	object, list     runtime.Object
	isNamespaced     bool
	hasStatus        bool
}

var (
	core   = schema.GroupVersion{Version: "v1"}
	scheme = runtime.NewScheme()
	codecs = serializer.NewCodecFactory(scheme)
	// kinds are what operators and agents of nodes touch.
	kinds = []kind{
		{core, "namespaces", "namespace", []string{"ns"}, &corev1.Namespace{}, &corev1.NamespaceList{}, false, true},
		{core, "nodes", "node", []string{"no"}, &corev1.Node{}, &corev1.NodeList{}, false, true},
		{core, "pods", "pod", []string{"po"}, &corev1.Pod{}, &corev1.PodList{}, true, true},
		{core, "services", "service", []string{"svc"}, &corev1.Service{}, &corev1.ServiceList{}, true, true},
		{core, "configmaps", "configmap", []string{"cm"}, &corev1.ConfigMap{}, &corev1.ConfigMapList{}, true, false},
		{core, "secrets", "secret", nil, &corev1.Secret{}, &corev1.SecretList{}, true, false},
		{core, "serviceaccounts", "serviceaccount", []string{"sa"}, &corev1.ServiceAccount{}, &corev1.ServiceAccountList{}, true, false},
		{core, "events", "event", []string{"ev"}, &corev1.Event{}, &corev1.EventList{}, true, false},
		{eventsv1.SchemeGroupVersion, "events", "event", []string{"ev"}, &corev1.Event{}, &corev1.EventList{}, true, false},
		{coordinationv1.SchemeGroupVersion, "leases", "lease", nil, &coordinationv1.Lease{}, &coordinationv1.LeaseList{}, true, false},
		{appsv1.SchemeGroupVersion, "daemonsets", "daemonset", []string{"ds"}, &appsv1.DaemonSet{}, &appsv1.DaemonSetList{}, true, true},
		{appsv1.SchemeGroupVersion, "deployments", "deployment", []string{"deploy"}, &appsv1.Deployment{}, &appsv1.DeploymentList{}, true, true},
		{admissionv1.SchemeGroupVersion, "validatingadmissionpolicies", "validatingadmissionpolicy", nil, &admissionv1.ValidatingAdmissionPolicy{}, &admissionv1.ValidatingAdmissionPolicyList{}, false, true},
		{admissionv1.SchemeGroupVersion, "validatingadmissionpolicybindings", "validatingadmissionpolicybinding", nil, &admissionv1.ValidatingAdmissionPolicyBinding{}, &admissionv1.ValidatingAdmissionPolicyBindingList{}, false, false},
		{rbacv1.SchemeGroupVersion, "roles", "role", nil, &rbacv1.Role{}, &rbacv1.RoleList{}, true, false},
		{rbacv1.SchemeGroupVersion, "rolebindings", "rolebinding", nil, &rbacv1.RoleBinding{}, &rbacv1.RoleBindingList{}, true, false},
		{rbacv1.SchemeGroupVersion, "clusterroles", "clusterrole", nil, &rbacv1.ClusterRole{}, &rbacv1.ClusterRoleList{}, false, false},
		{rbacv1.SchemeGroupVersion, "clusterrolebindings", "clusterrolebinding", nil, &rbacv1.ClusterRoleBinding{}, &rbacv1.ClusterRoleBindingList{}, false, false},
	}
)

func init() {
	for _, k := range kinds {
		if k.version == eventsv1.SchemeGroupVersion { // As upstream: one storage of both, which has the older form.
			scheme.AddKnownTypes(k.version, &eventsv1.Event{}, &eventsv1.EventList{})
		} else {
			scheme.AddKnownTypes(k.version, k.object, k.list)
		}
		scheme.AddKnownTypes(internal(k.version), k.object, k.list)
		metav1.AddToGroupVersion(scheme, k.version)
		must(scheme.SetVersionPriority(k.version))
		name := k.version.WithKind(reflect.TypeOf(k.object).Elem().Name())
		must(scheme.AddFieldLabelConversionFunc(name, func(label, value string) (string, string, error) {
			return strings.Replace(label, "regarding.", "involvedObject.", 1), value, nil
		}))
	}
	convertEvents()
	for _, version := range []schema.GroupVersion{authorizationv1.SchemeGroupVersion, internal(authorizationv1.SchemeGroupVersion)} {
		scheme.AddKnownTypes(version, &authorizationv1.SelfSubjectAccessReview{}, &authorizationv1.SubjectAccessReview{})
	}
	for _, version := range []schema.GroupVersion{authenticationv1.SchemeGroupVersion, internal(authenticationv1.SchemeGroupVersion)} {
		scheme.AddKnownTypes(version, &authenticationv1.TokenRequest{})
	}
	metav1.AddToGroupVersion(scheme, authorizationv1.SchemeGroupVersion)
	metav1.AddToGroupVersion(scheme, authenticationv1.SchemeGroupVersion)
	scheme.AddUnversionedTypes(core, &metav1.Status{}, &metav1.APIVersions{}, &metav1.APIGroupList{}, &metav1.APIGroup{}, &metav1.APIResourceList{})
}

func internal(version schema.GroupVersion) schema.GroupVersion {
	return schema.GroupVersion{Group: version.Group, Version: runtime.APIVersionInternal}
}
