package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/client-go/kubernetes"
)

// tokens are those of service accounts: `kubectl create token`. One that is bound to a pod says the pod's node, as upstream's do.
// They are who it is, signed with a key of the server, so that they outlive it; unlike upstream's they also outlive what they name.
type tokens struct {
	key    []byte
	client kubernetes.Interface
}

const extra = "authentication.kubernetes.io/"

// grant is what a token says.
type grant struct {
	User    user.DefaultInfo
	Expires time.Time
}

func (tokens) New() runtime.Object { return &authenticationv1.TokenRequest{} }
func (tokens) Destroy()            {}
func (tokens) GroupVersionKind(schema.GroupVersion) schema.GroupVersionKind {
	return authenticationv1.SchemeGroupVersion.WithKind("TokenRequest")
}

// Create implements rest.NamedCreater.
func (t tokens) Create(ctx context.Context, name string, object runtime.Object, _ rest.ValidateObjectFunc, _ *metav1.CreateOptions) (runtime.Object, error) {
	asked, namespace := object.(*authenticationv1.TokenRequest), request.NamespaceValue(ctx)
	account, err := t.client.CoreV1().ServiceAccounts(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	given := grant{User: user.DefaultInfo{
		Name:   serviceAccount(namespace, name),
		UID:    string(account.UID),
		Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace},
	}}
	if bound := asked.Spec.BoundObjectRef; bound != nil {
		if bound.Kind != "Pod" {
			return nil, errors.NewBadRequest("tokens are bound to pods here, not to a " + bound.Kind)
		}
		pod, err := t.client.CoreV1().Pods(namespace).Get(ctx, bound.Name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		given.User.Extra = saysPod(pod)
	}
	orElse(&asked.Spec.ExpirationSeconds, int64(time.Hour/time.Second))
	given.Expires = time.Now().Add(time.Duration(*asked.Spec.ExpirationSeconds) * time.Second)
	said, err := json.Marshal(given)
	if err != nil {
		return nil, err
	}
	asked.Status = authenticationv1.TokenRequestStatus{Token: t.sign(said), ExpirationTimestamp: metav1.NewTime(given.Expires)}
	return asked, nil
}

func saysPod(pod *corev1.Pod) map[string][]string {
	says := map[string][]string{extra + "pod-name": {pod.Name}, extra + "pod-uid": {string(pod.UID)}}
	if pod.Spec.NodeName != "" {
		says[extra+"node-name"] = []string{pod.Spec.NodeName}
	}
	return says
}

func (t tokens) sign(said []byte) string {
	mac := hmac.New(sha256.New, t.key)
	mac.Write(said)
	encode := base64.RawURLEncoding.EncodeToString
	return encode(said) + "." + encode(mac.Sum(nil))
}

// AuthenticateToken implements authenticator.Token.
func (t tokens) AuthenticateToken(_ context.Context, token string) (*authenticator.Response, bool, error) {
	first, _, _ := strings.Cut(token, ".")
	said, err := base64.RawURLEncoding.DecodeString(first)
	if err != nil || !hmac.Equal([]byte(t.sign(said)), []byte(token)) {
		return nil, false, nil
	}
	var given grant
	if err := json.Unmarshal(said, &given); err != nil || time.Now().After(given.Expires) {
		return nil, false, err
	}
	return &authenticator.Response{User: &given.User}, true, nil
}
