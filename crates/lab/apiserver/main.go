// A Kubernetes API server for tests on one machine, made of upstream's libraries (k8s.io/apiserver, k8s.io/apiextensions-apiserver).
//
// Upstream's, and as in a cluster: custom resources, storage in etcd, watches, server-side apply, discovery, OpenAPI, admission by
// ValidatingAdmissionPolicy and of namespaces. Ours, and thin: the core types of kinds.go, the judgement of RBAC, tokens. Missing:
// webhooks, garbage collection, deletion of what is in a namespace, aggregation, kubelets. Its flags are those of kube-apiserver.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"apiserver/schemas"

	"go.opentelemetry.io/otel/trace/noop"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	extensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	extensions "k8s.io/apiextensions-apiserver/pkg/apiserver"
	extensionsoptions "k8s.io/apiextensions-apiserver/pkg/cmd/server/options"
	extensionsschemas "k8s.io/apiextensions-apiserver/pkg/generated/openapi"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	"k8s.io/apiserver/pkg/admission/plugin/namespace/lifecycle"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/authentication/group"
	"k8s.io/apiserver/pkg/authentication/request/anonymous"
	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	"k8s.io/apiserver/pkg/authentication/request/union"
	"k8s.io/apiserver/pkg/authentication/token/tokenfile"
	tokenunion "k8s.io/apiserver/pkg/authentication/token/union"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	authorizerunion "k8s.io/apiserver/pkg/authorization/union"
	openapinamer "k8s.io/apiserver/pkg/endpoints/openapi"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	utilopenapi "k8s.io/apiserver/pkg/util/openapi"
	"k8s.io/apiserver/pkg/util/webhook"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/restmapper"
	"k8s.io/kube-openapi/pkg/common"
)

var (
	etcd       = flag.String("etcd-servers", "http://127.0.0.1:2379", "URL of etcd")
	address    = flag.String("bind-address", "127.0.0.1", "where it listens")
	port       = flag.Int("secure-port", 6443, "where it listens")
	cert       = flag.String("tls-cert-file", "", "its certificate")
	key        = flag.String("tls-private-key-file", "", "the key of it")
	tokenFile  = flag.String("token-auth-file", "", "lines of token,user,uid,\"groups\"")
	grace      = flag.Duration("shutdown-watch-termination-grace-period", 0, "how long watches have to end")
	signingKey = flag.String("service-account-signing-key-file", "", "what tokens of service accounts are signed with")
)

// assembly is what parts of the server need of each other.
type assembly struct {
	recommended *genericapiserver.RecommendedConfig
	options     *genericoptions.RecommendedOptions
	client      kubernetes.Interface
	informers   informers.SharedInformerFactory
	judge       authorizer.Authorizer
	tokens      tokens
}

func main() {
	for _, name := range []string{"authorization-mode", "service-account-key-file", "service-account-issuer", "service-cluster-ip-range", "cert-dir", "disable-admission-plugins"} {
		flag.String(name, "", "for kube-apiserver; there is one way here")
	}
	flag.Parse()
	a := configure()
	a.authenticate()
	a.authorize()
	a.admit()
	a.describe()
	config := (&extensions.Config{GenericConfig: a.recommended, ExtraConfig: extensions.ExtraConfig{
		CRDRESTOptionsGetter: extensionsoptions.NewCRDRESTOptionsGetter(*a.options.Etcd, a.recommended.ResourceTransformers, a.recommended.StorageObjectCountTracker),
		MasterCount:          1,
		ServiceResolver:      webhook.NewDefaultServiceResolver(),
		AuthResolverWrapper:  webhook.NewDefaultAuthenticationInfoResolverWrapper(nil, nil, a.recommended.LoopbackClientConfig, noop.NewTracerProvider()),
	}}).Complete()
	config.GenericConfig.EnableDiscovery = true
	server, err := config.New(genericapiserver.NewEmptyDelegate())
	must(err)
	a.install(server.GenericAPIServer)
	listCustomGroups(server)
	server.GenericAPIServer.AddPostStartHookOrDie("first-objects", a.begin)
	must(server.GenericAPIServer.PrepareRun().RunWithContext(genericapiserver.SetupSignalContext()))
}

func configure() *assembly {
	run := genericoptions.NewServerRunOptions()
	run.ShutdownWatchTerminationGracePeriod = *grace
	must(run.Complete())
	options := genericoptions.NewRecommendedOptions("/registry", extensions.Codecs.LegacyCodec(extensionsv1.SchemeGroupVersion))
	options.Etcd.StorageConfig.Transport.ServerList = []string{*etcd}
	options.SecureServing.BindAddress, options.SecureServing.BindPort = net.ParseIP(*address), *port
	options.SecureServing.ServerCert.CertKey.CertFile, options.SecureServing.ServerCert.CertKey.KeyFile = *cert, *key
	recommended := genericapiserver.NewRecommendedConfig(extensions.Codecs)
	config := &recommended.Config
	must(run.ApplyTo(config))
	must(options.Etcd.ApplyTo(config))
	must(options.SecureServing.ApplyTo(&config.SecureServing, &config.LoopbackClientConfig))
	config.MergedResourceConfig = extensions.DefaultAPIResourceConfigSource()
	recommended.ClientConfig = config.LoopbackClientConfig
	client, err := kubernetes.NewForConfig(config.LoopbackClientConfig)
	must(err)
	recommended.SharedInformerFactory = informers.NewSharedInformerFactory(client, 10*time.Minute)
	return &assembly{recommended: recommended, options: options, client: client, informers: recommended.SharedInformerFactory}
}

func (a *assembly) authenticate() {
	fixed, err := tokenfile.NewCSV(*tokenFile)
	must(err)
	secret, err := os.ReadFile(*signingKey)
	must(err)
	a.tokens = tokens{secret, a.client}
	bearer := bearertoken.New(tokenunion.New(fixed, a.tokens))
	a.recommended.Authentication.Authenticator = union.NewFailOnError(group.NewAuthenticatedGroupAdder(bearer), anonymous.NewAuthenticator(nil))
}

// authorize has what upstream's first roles give to everybody, and RBAC.
func (a *assembly) authorize() {
	everybody := authorizer.AuthorizerFunc(func(_ context.Context, asked authorizer.Attributes) (authorizer.Decision, string, error) {
		isOfSelf := asked.IsResourceRequest() && asked.GetVerb() == "create" && asked.GetResource() == "selfsubjectaccessreviews"
		if isOfSelf || !asked.IsResourceRequest() && asked.IsReadOnly() && isPublic(asked.GetPath()) {
			return authorizer.DecisionAllow, "everybody may", nil
		}
		return authorizer.DecisionNoOpinion, "", nil
	})
	rules := &rbac{}
	rules.watch(a.informers)
	a.judge = authorizerunion.New(authorizerfactory.NewPrivilegedGroups(user.SystemPrivilegedGroup), everybody, rules)
	a.recommended.Authorization.Authorizer = a.judge
}

func isPublic(path string) bool {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return sets.New("api", "apis", "openapi", "version", "healthz", "livez", "readyz").Has(first)
}

func (a *assembly) admit() {
	namespaces, err := lifecycle.NewLifecycle(sets.New("default", "kube-system"))
	must(err)
	policies, err := validating.NewPlugin(nil)
	must(err)
	config := &a.recommended.Config
	untyped, err := dynamic.NewForConfig(config.LoopbackClientConfig)
	must(err)
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(a.client.Discovery()))
	give := initializer.New(a.client, untyped, a.informers, a.judge, config.FeatureGate, config.EffectiveVersion, config.DrainedNotify(), mapper)
	give.Initialize(namespaces)
	give.Initialize(policies)
	must(namespaces.ValidateInitialization())
	must(policies.ValidateInitialization())
	config.AdmissionControl = admission.NewChainHandler(namespaces, policies)
}

// describe has the server tell the schemas of core types and of definitions; those of custom resources come with them.
func (a *assembly) describe() {
	all := func(reference common.ReferenceCallback) map[string]common.OpenAPIDefinition {
		out := extensionsschemas.GetOpenAPIDefinitions(reference)
		for name, definition := range schemas.GetOpenAPIDefinitions(reference) {
			out[name] = definition
		}
		return out
	}
	namer := openapinamer.NewDefinitionNamer(extensions.Scheme, scheme, clientscheme.Scheme)
	enabled := utilopenapi.GetOpenAPIDefinitionsWithoutDisabledFeatures(all)
	config := &a.recommended.Config
	config.OpenAPIConfig = genericapiserver.DefaultOpenAPIConfig(enabled, namer)
	config.OpenAPIConfig.Info.Title = "Kubernetes"
	config.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(enabled, namer)
	config.OpenAPIV3Config.Info.Title = "Kubernetes"
}

// install adds the core types to the server of custom resources, so that discovery and OpenAPI are one.
func (a *assembly) install(server *genericapiserver.GenericAPIServer) {
	var versions []schema.GroupVersion
	for _, k := range kinds {
		versions = append(versions, k.version)
	}
	stored := *a.options.Etcd
	stored.StorageConfig.Codec = codecs.LegacyCodec(versions...)
	stored.StorageConfig.StorageObjectCountTracker = a.recommended.StorageObjectCountTracker
	options := stored.CreateRESTOptionsGetter(&genericoptions.SimpleStorageFactory{StorageConfig: stored.StorageConfig}, a.recommended.ResourceTransformers)

	groups := map[schema.GroupVersion]map[string]rest.Storage{
		authorizationv1.SchemeGroupVersion: {"selfsubjectaccessreviews": review{true, a.judge}, "subjectaccessreviews": review{false, a.judge}},
		core:                               {"serviceaccounts/token": a.tokens},
	}
	for _, k := range kinds {
		if groups[k.version] == nil {
			groups[k.version] = map[string]rest.Storage{}
		}
		storages, err := k.storages(options)
		must(err)
		for path, storage := range storages {
			groups[k.version][path] = storage
		}
	}
	for version, storages := range groups {
		info := genericapiserver.NewDefaultAPIGroupInfo(version.Group, scheme, metav1.ParameterCodec, codecs)
		info.PrioritizedVersions = []schema.GroupVersion{version}
		info.VersionedResourcesStorageMap[version.Version] = storages
		if version == core {
			must(server.InstallLegacyAPIGroup("/api", &info))
		} else {
			must(server.InstallAPIGroup(&info))
		}
	}
}

// begin makes what every cluster has; the server isn't ready before it knows its rules.
func (a *assembly) begin(hook genericapiserver.PostStartHookContext) error {
	a.informers.Start(hook.Done())
	a.informers.WaitForCacheSync(hook.Done())
	for _, name := range []string{"default", "kube-system"} {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if _, err := a.client.CoreV1().Namespaces().Create(hook, namespace, metav1.CreateOptions{}); err != nil && !errors.IsAlreadyExists(err) {
			return err
		}
	}
	all := []string{"*"}
	admin := &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "cluster-admin"},
		Rules:      []rbacv1.PolicyRule{{Verbs: all, APIGroups: all, Resources: all}, {Verbs: all, NonResourceURLs: all}},
	}
	if _, err := a.client.RbacV1().ClusterRoles().Create(hook, admin, metav1.CreateOptions{}); err != nil && !errors.IsAlreadyExists(err) {
		return err
	}
	return nil
}

// must ends the server where it can't be one.
func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "apiserver:", err)
		os.Exit(1)
	}
}
